# gtpt_mm on NVIDIA GPUs: docker build -f docker/cuda.Dockerfile -t gtpt_mm:cuda .
# The wheels of torch bring CUDA; the host has the driver and the container
# toolkit. Steps are tried without docker by tools/dockerfile_steps.py.
FROM python:3.12-slim

# "[onnx,tracking]" adds extras, see docs/install.md.
ARG EXTRAS=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
# torch.compile compiles the launchers of its kernels.
RUN --mount=type=cache,target=/var/cache/apt --mount=type=cache,target=/var/lib/apt/lists apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev
WORKDIR /opt/gtpt_mm
COPY . .

RUN PIP_CONSTRAINT=$PWD/requirements/constraints.txt pip install ".$EXTRAS"
# Away from the sources, so that the installed package is the one that is checked.
RUN PIP_CONSTRAINT=$PWD/requirements/constraints.txt sh -c "cd / && gtpt-mm setup"

RUN useradd --create-home pose
USER pose
WORKDIR /work
ENTRYPOINT ["gtpt-mm"]
CMD ["doctor"]
