# The images of Shardwork, from one file:
#   grading   what a throw-away container judges a submission in (`shardwork grade --isolation docker`)
#   lab       JupyterLab and every node of the cluster in compose.yaml
#   horovod   the lab with a real Horovod, built from source (ten minutes); not built unless named
#
#   docker build --target lab --tag shardwork-lab .
#
# `scripts/images` does that, and makes what a machine without a registry or a package index needs:
# a `debian:bookworm-slim` of its own, and build/wheelhouse, which is used here when it is there.
# Sizes (amd64; estimated, not measured yet): grading 2.9 GB, lab 2.7 GB, which share 2.7 GB: torch
# without CUDA 0.7, Spark 0.5, pyarrow, SciPy, scikit-learn and numba 0.6, Java 0.2.

FROM debian:bookworm-slim AS system
ENV LANG=C.UTF-8 TZ=UTC DEBIAN_FRONTEND=noninteractive
# procps: Spark's scripts call `ps`. libgomp1: scikit-learn and torch. No documentation is kept, but
# Java's package wants its folder.
RUN printf 'path-exclude=/usr/share/%s/*\n' doc man info locale lintian > /etc/dpkg/dpkg.cfg.d/slim \
 && mkdir -p /usr/share/man/man1 \
 && apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends ca-certificates curl libgomp1 libseccomp2 \
      openjdk-17-jre-headless procps python3.11 python3-distutils tini \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*.log /var/log/apt \
 && useradd --uid 1000 --create-home --shell /bin/bash student


FROM system AS packages
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends python3.11-venv \
 && rm -rf /var/lib/apt/lists/*
RUN python3.11 -m venv /opt/shardwork/venv
WORKDIR /build
# The wheelhouse is optional: a pattern that matches nothing is no error beside files that are there.
COPY pyproject.toml constraints.txt build/wheelhous[e]/*.whl /build/wheels/
RUN set -eu; cd wheels; pip=/opt/shardwork/venv/bin/pip; \
    python3.11 -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], "setuptools>=77", sep="\n")' > needed; \
    if ls ./*.whl >/dev/null 2>&1; then from='--no-index --find-links .'; \
    else from='--extra-index-url https://download.pytorch.org/whl/cpu'; fi; \
    $pip install --no-cache-dir --quiet --disable-pip-version-check $from -c constraints.txt -r needed; \
    cd /opt/shardwork/venv/lib/python3.11/site-packages; \
    # What nobody runs here: tests of libraries, headers and static libraries of torch, Spark's R.
    rm -rf torch/include torch/test pyspark/examples pyspark/data pyspark/licenses; \
    find pandas sklearn scipy sympy -type d -name tests -prune -exec rm -rf {} +; \
    find . -name '*.a' -delete


FROM system AS engine
COPY --from=packages /opt/shardwork /opt/shardwork
ENV PATH=/opt/shardwork/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONHASHSEED=0 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
RUN ln -s "$(python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/pyspark" /opt/shardwork/spark \
 && ln -s "$(dirname "$(dirname "$(readlink -f /usr/bin/java)")")" /opt/shardwork/java
ENV JAVA_HOME=/opt/shardwork/java
COPY pyproject.toml README.md constraints.txt /opt/shardwork/engine/
COPY shardwork /opt/shardwork/engine/shardwork
RUN cd /opt/shardwork/engine \
 && python -m pip install --no-index --no-deps --no-build-isolation --quiet --disable-pip-version-check . \
 && rm -rf /opt/shardwork/engine


FROM engine AS grading
# Spark's class archive: 0.2 GB, and half of what a Spark session costs to start.
RUN XDG_CACHE_HOME=/opt/shardwork/archive python -m shardwork.lab.spark_training \
 && ln -s /opt/shardwork/archive/shardwork/spark/*/ /opt/shardwork/spark-archive
# A container is a user that nobody else is, and Java insists that its user has a name: it is
# written when the container starts, into a file system in memory that lies at /etc/identity.
RUN mkdir /etc/identity && cp /etc/passwd /etc/identity/passwd \
 && ln -sf /etc/identity/passwd /etc/passwd
ENV SHARDWORK_SPARK_ARCHIVE=/opt/shardwork/spark-archive
LABEL org.opencontainers.image.title="Shardwork: grading"
USER 1000:1000
WORKDIR /home/student
ENTRYPOINT ["python", "-P", "-m", "shardwork.inside.container"]


FROM engine AS lab
# The release only: no solutions, no graders.
COPY release /opt/shardwork/release
COPY scripts/lab /opt/shardwork/bin/
RUN install -d -o student -g student /home/student/work /shared
LABEL org.opencontainers.image.title="Shardwork: lab"
USER 1000:1000
WORKDIR /home/student/work
EXPOSE 8888 4040 7077 8080 8081 8786 8787
ENTRYPOINT ["tini", "--"]
CMD ["/opt/shardwork/bin/start-lab"]


# Horovod 0.28.1 wants C++14 and torch 2.13 needs C++17: two lines of its build files are changed.
# Built from its source distribution, for gloo and PyTorch alone.
FROM packages AS horovod-wheel
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends build-essential cmake ninja-build python3.11-dev \
 && rm -rf /var/lib/apt/lists/*
COPY build/horovo[d]/*.tar.gz scripts/build-horovod /build/horovod/
RUN /opt/shardwork/venv/bin/python /build/horovod/build-horovod /build/horovod /build/wheels-out


FROM lab AS horovod
USER root
COPY --from=horovod-wheel /build/wheels-out /tmp/wheels
RUN python -m pip install --no-index --no-deps --quiet --disable-pip-version-check /tmp/wheels/*.whl \
 && rm -rf /tmp/wheels
USER 1000:1000
