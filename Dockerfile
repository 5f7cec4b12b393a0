# The registry alone, in an image with nothing else in it.
#
# The binary must not need a C library of the image:
#   RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target x86_64-unknown-linux-gnu
#   docker build --build-arg BINARY=target/x86_64-unknown-linux-gnu/release/registry -t sampan .
#
# Paths, ports and volumes are those of registry:3, so it can take that image's place in a compose file.
# It does not run as root; a data directory that registry:3 wrote belongs to root, so either give it away once
# (chown -R 65532:65532 DIRECTORY) or run with `user: "0:0"`.
FROM scratch
ARG BINARY=target/x86_64-unknown-linux-gnu/release/registry
COPY ${BINARY} /bin/registry
COPY config-samples/image/config.yml /etc/distribution/config.yml
COPY --chown=65532:65532 config-samples/image/data /var/lib/registry
COPY --chown=65532:65532 config-samples/image/data /tmp
USER 65532:65532
VOLUME ["/var/lib/registry"]
EXPOSE 5000
ENTRYPOINT ["/bin/registry"]
CMD ["serve", "/etc/distribution/config.yml"]
