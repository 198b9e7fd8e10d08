use crate::support::{Presigned, builder, client, emulator, get};

#[tokio::test]
async fn names_that_are_not_stss_get_no_certificate() {
    let (emulator, alice) = emulator().await;
    for host in ["iam.amazonaws.com", "sts.us-east-1.amazonaws.com.evil.com"] {
        let presigned = Presigned { host: host.to_owned(), ..Presigned::default() };
        let error = client(&emulator, host).get(presigned.url(&alice)).send().await.unwrap_err();
        assert!(error.is_connect(), "{error:?}");
    }
    assert_eq!((emulator.calls(), emulator.connections()), (0, 0));
}

#[tokio::test]
async fn its_own_address_serves_any_region() {
    let (emulator, alice) = emulator().await;
    let presigned =
        Presigned { host: emulator.address().to_string(), region: "eu-north-1", ..Presigned::default() };
    let client = builder(&emulator).no_proxy().build().unwrap();
    let answer = get(&client, &presigned.url(&alice), "test").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn another_emulators_ca_is_not_trusted() {
    let ((one, alice), (other, _)) = (emulator().await, emulator().await);
    let presigned = Presigned::default();
    let client = builder(&one).no_proxy().resolve(&presigned.host, other.address()).build().unwrap();
    assert!(client.get(presigned.url(&alice)).send().await.unwrap_err().is_connect());
}
