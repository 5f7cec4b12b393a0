# The registry alone, in an image with nothing else in it.
#
# The binary must not need a C library of the image:
#   cargo rustc --release --locked --bin registry -- -C target-feature=+crt-static
#   docker build -t sampan .
#
# Paths, port and volume are those of registry:3, so it can take that image's place in a compose file.
# It does not run as root; a data directory that registry:3 wrote belongs to root, so either give it away once
# (chown -R 65532:65532 DIRECTORY) or run with `user: "0:0"`.
# There are no authorities in it: to keep images in an object store over HTTPS, mount the machine's at /etc/ssl/certs.
FROM scratch
ARG BINARY=target/release/registry
COPY ${BINARY} /bin/registry
COPY config-samples/image/config.yml /etc/distribution/config.yml
COPY --chown=65532:65532 config-samples/image/data /var/lib/registry
COPY --chown=65532:65532 config-samples/image/data /tmp
USER 65532:65532
VOLUME ["/var/lib/registry"]
EXPOSE 5000
ENTRYPOINT ["/bin/registry"]
CMD ["serve", "/etc/distribution/config.yml"]
