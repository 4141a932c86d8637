# Two stages: the virtual environment is built where pip is, and copied to where the router runs.
# Pin the base by digest in production: --build-arg BASE=python@sha256:...
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS builder
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# For the compiled reader. Which version of the compiler makes it matters to nobody.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/causeway
ENV PATH=/opt/causeway/bin:$PATH
WORKDIR /src
COPY requirements/ requirements/
RUN pip install --require-hashes -r requirements/build.txt -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY router/ router/
COPY workers/ workers/
COPY bench/ bench/
RUN pip install --no-deps --no-build-isolation --no-index .
WORKDIR /
RUN python -c "from router.xmpp.reader import IMPLEMENTATION as reader; assert reader == 'compiled'"

FROM ${BASE}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="causeway" \
      org.opencontainers.image.description="An XMPP federation router" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=builder /opt/causeway /opt/causeway
# The run directory is a tmpfs where the root file system is read-only.
RUN install -d -o 65532 -g 65532 -m 0700 /run/causeway
ENV PATH=/opt/causeway/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    XDG_RUNTIME_DIR=/run/causeway
USER 65532:65532
WORKDIR /etc/causeway
# s2s with STARTTLS, s2s with direct TLS, HTTP (metrics and health)
EXPOSE 5269 5270 5280
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["causeway", "health", "--config", "/etc/causeway/causeway.toml"]
ENTRYPOINT ["causeway"]
CMD ["run", "--config", "/etc/causeway/causeway.toml"]
