# syntax=docker/dockerfile:1
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
# For the small CPU build of torch, name PyTorch's CPU index here.
ARG PIP_EXTRA_INDEX_URL=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/manifold
# The dependencies are a layer of their own: a change of the code does not install torch again.
COPY pyproject.toml constraints.txt ./
RUN python3 -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
    > requirements.txt \
    && /opt/manifold/bin/pip install -c constraints.txt -r requirements.txt
COPY README.md LICENSE hatch_build.py ./
COPY models models
COPY app app
COPY training training
COPY benchmarks benchmarks
RUN /opt/manifold/bin/pip install --no-deps .

FROM ${BASE}
# For kernels on GPUs, name "gcc libc6-dev" here: Triton compiles with them.
ARG PACKAGES=""
RUN if [ -n "${PACKAGES}" ]; then \
    apt-get update -qq && apt-get install -y -qq --no-install-recommends ${PACKAGES} && rm -rf /var/lib/apt/lists/*; fi
RUN useradd --no-create-home --uid 10001 manifold
COPY --from=build /opt/manifold /opt/manifold
COPY weights /srv/weights
ENV PATH=/opt/manifold/bin:$PATH \
    MANIFOLD_HOST=0.0.0.0 \
    MANIFOLD_PORT=8000 \
    MANIFOLD_WEIGHTS_DIR=/srv/weights \
    TRITON_CACHE_DIR=/tmp/triton
USER manifold
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["python3", "-c", \
    "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"MANIFOLD_PORT\"]}/health/ready')"]
# To load and unload models, give it an API key: docs/security.md, "In a container".
CMD ["manifold", "serve"]
