# arngate's image: one static program and the CA certificates, nothing else. No shell, no user but a number, no file that
# has to be written. deploy/image/build builds it with buildah; Docker's buildx and Podman do as well.
#
#   BASE        the image that the build begins with: Rust, a C compiler, CMake or apt-get to install it
#   TARGETARCH  amd64 or arm64; builders set it by the platform
#   VERSION, REVISION, CREATED   for the labels

ARG BASE=docker.io/library/rust:1.95.0-bookworm
ARG BUILDPLATFORM=linux/amd64

FROM --platform=${BUILDPLATFORM} ${BASE} AS build
ARG TARGETARCH=amd64
# Where crates and what is built of them are kept; a builder may have a cache there.
ARG CARGO_HOME=/usr/local/cargo
ARG CARGO_TARGET_DIR=/src/target
WORKDIR /src
COPY . .
RUN TARGETARCH=${TARGETARCH} deploy/image/compile /image

FROM scratch
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="arngate" \
      org.opencontainers.image.description="IAM authenticator for Kubernetes: a token webhook that has AWS STS say who a caller is" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY --from=build /image/ /
# The user that aws-iam-authenticator's image and kOps have: what that one wrote, this one may.
USER 10000:10000
EXPOSE 21362 21363
# Kubernetes has probes of its own; this is for whoever runs the image without it. It asks where the server listens by
# default; a server that is told otherwise by -c needs `--health-cmd "/arngate healthcheck -c FILE"`.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["/arngate", "healthcheck"]
ENTRYPOINT ["/arngate"]
CMD ["server"]
