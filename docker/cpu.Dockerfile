# gtpt_mm on CPUs: docker build -f docker/cpu.Dockerfile -t gtpt_mm:cpu .
# Steps are tried without docker by tools/dockerfile_steps.py.
FROM python:3.12-slim

# torch without CUDA libraries; the versions are those of constraints.txt.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# "[onnx,tracking]" adds extras, see docs/install.md.
ARG EXTRAS=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /opt/gtpt_mm
COPY . .

RUN pip install --index-url "$TORCH_INDEX" $(grep -E "^torch(vision)?==" requirements/constraints.txt)
RUN PIP_CONSTRAINT=$PWD/requirements/constraints.txt pip install ".$EXTRAS"
# Away from the sources, so that the installed package is the one that is checked.
RUN PIP_CONSTRAINT=$PWD/requirements/constraints.txt sh -c "cd / && gtpt-mm setup"

RUN useradd --create-home pose
USER pose
WORKDIR /work
ENTRYPOINT ["gtpt-mm"]
CMD ["doctor"]
