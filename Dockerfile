# The registry alone, in an image with nothing else in it but certificates of authorities.
#
# `./image.sh` builds it, the static binary and all; this file takes what that script puts into target/image.
#
# Paths, port, volume and user are those of registry:3, so it takes that image's place in a compose file, over the same data
# directory, certificates and password file. A second image does not run as root: `./image.sh --nonroot` (VARIANT=nonroot);
# give it what it reads and writes (chown -R 65532:65532 DIRECTORY).
ARG VARIANT=root

FROM scratch AS base
COPY target/image/registry /bin/registry
# Ends the build here when this image cannot run the binary, since it needs shared libraries or another machine. Option and words
# behind it stand in docker's error.
RUN ["/bin/registry", "--version", "(needs a static binary for this architecture: ./image.sh builds it)"]
# For an object store, a token server or notifications over HTTPS.
COPY target/image/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY config-samples/image/config.yml /etc/distribution/config.yml

FROM base AS root
COPY config-samples/image/data /var/lib/registry
COPY config-samples/image/data /tmp

FROM base AS nonroot
COPY --chown=65532:65532 config-samples/image/data /var/lib/registry
COPY --chown=65532:65532 config-samples/image/data /tmp
USER 65532:65532

FROM ${VARIANT}
VOLUME ["/var/lib/registry"]
EXPOSE 5000
# Without it, docker takes `docker kill --signal=HUP` for a wish that the container stays down when it ends the next time.
STOPSIGNAL SIGTERM
# Asks the address of the configuration at its usual place; where another file is served, give the container its own check.
HEALTHCHECK --interval=30s --timeout=15s --start-period=30s CMD ["/bin/registry", "health"]
ENTRYPOINT ["/bin/registry"]
CMD ["serve", "/etc/distribution/config.yml"]
