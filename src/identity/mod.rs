//! Who STS says that the caller is.
//!
//! ```text
//! "arn:aws:sts::111122223333:assumed-role/Admin/alice"      what STS answers
//!         │ Principal::parse
//!         ▼
//! Principal { AssumedRole { role: "Admin", session: "alice" }, aws, 111122223333 }
//!         │ canonical_arn                       │ match_key
//!         ▼                                     ▼
//! "arn:aws:iam::111122223333:role/Admin"     the same in lower case: what mappings are looked up by
//! ```
//!
//! This module knows neither tokens nor STS's protocol nor mappings.

mod account;
mod arn;
mod caller;
mod partition;
mod principal;

pub use account::{AccountId, AccountIdError};
pub use arn::{Arn, ArnError};
pub use caller::{CallerError, Identity};
pub use partition::{Partition, UnknownPartition};
pub use principal::{MatchKey, Principal, PrincipalError, PrincipalKind};
