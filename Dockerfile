# The server with the checkpoints inside; docs/container.md says how to build and run it.
# `make pin-images` appends the digest that the registry has today to this name.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
# Index of packages with PyTorch for CPUs alone. Without one, pip finds PyTorch for CUDA.
ARG TORCH_INDEX=""
# Extras of pyproject.toml, separated by spaces.
ARG EXTRAS="audio fit onnx parquet"
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
# The environment of the server has no pip; the one of another environment installs into it.
COPY deploy/sbom-requirements.txt ./
RUN python3 -m venv --without-pip /opt/manifold \
    && python3 -m venv /opt/tools \
    && /opt/tools/bin/pip install -r sbom-requirements.txt
# The dependencies are a layer of their own: a change of the code does not install PyTorch again. Of that, the C++ headers
# and tests are left out, which nothing here uses.
COPY pyproject.toml constraints.txt ./
RUN python3 -c "import sys, tomllib; \
        project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
        extras = [each for name in sys.argv[1:] for each in project['optional-dependencies'][name]]; \
        print(*project['dependencies'], *extras, sep='\n')" ${EXTRAS} > requirements.txt \
    && /opt/tools/bin/pip --python /opt/manifold/bin/python3 install \
        ${TORCH_INDEX:+--extra-index-url "${TORCH_INDEX}"} -c constraints.txt -r requirements.txt \
    && rm -rf /opt/manifold/lib/python3*/site-packages/torch/include /opt/manifold/lib/python3*/site-packages/torch/test
COPY README.md LICENSE hatch_build.py ./
COPY models models
COPY app app
COPY training training
COPY benchmarks benchmarks
RUN /opt/tools/bin/pip --python /opt/manifold/bin/python3 install --no-deps . \
    && /opt/tools/bin/cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible \
        --output-file /opt/manifold/sbom.cdx.json /opt/manifold/bin/python3

FROM ${BASE}
COPY --from=build /opt/manifold /opt/manifold
# Triton, which is a part of PyTorch for CUDA, compiles kernels for GPUs with a C compiler.
RUN if [ -d /opt/manifold/lib/python3*/site-packages/triton ]; then \
    apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*; fi
COPY weights /srv/weights
RUN groupadd --gid 10001 manifold \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /data --shell /usr/sbin/nologin manifold \
    && install -d -o manifold -g manifold /data
# Programs write to /data alone: caches below the home folder, temporary files, checkpoints below the working folder.
ENV PATH=/opt/manifold/bin:$PATH \
    HOME=/data \
    TMPDIR=/data \
    HF_HOME=/data/huggingface \
    TRITON_CACHE_DIR=/data/triton \
    MANIFOLD_HOST=0.0.0.0 \
    MANIFOLD_WEIGHTS_DIR=/srv/weights
WORKDIR /data
VOLUME /data
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python3", "-I", "-m", "app.process.health_check"]
# To load and unload models, give it an API key: docs/security.md, "In a container".
CMD ["manifold", "serve"]
