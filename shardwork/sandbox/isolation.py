"""How a submission is shut in here: what this machine allows, found out by trying.

Isolation fails closed: a level that was asked for and cannot be reached is an error, and a weaker
one is used only when it was named.
"""

from __future__ import annotations

import ast
import functools
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from shardwork.course import Assignment, Isolation, Limits
from shardwork.errors import MachineError
from shardwork.inside.orders import Begin, Confinement
from shardwork.keys import versions
from shardwork.sandbox import bubblewrap, cgroup, container, seccomp
from shardwork.sandbox.container import Container
from shardwork.sandbox.engine import Engine, EngineFailed, address
from shardwork.sandbox.tree import MAX_TASKS, Sandbox
from shardwork.sandbox.zygote import ContainerPlan, Plan, Zygote, ZygoteFailed

INSTALL = "sudo apt-get install -y bubblewrap libseccomp2"
NAMESPACES = ("mount", "pid", "net", "ipc", "uts", "cgroup")
CONTAINER_NAMESPACES = NAMESPACES[:-1]
"""Not the cgroups': with version 1 an engine gives it only if it is told to, as the machine is."""
WATCHDOG = "watchdog"
FILES_INSIDE = "/course"
IMAGE_VARIABLE = "SHARDWORK_GRADING_IMAGE"
IMAGE = "shardwork-grading"
BUILD = "scripts/images grading"
_HIDDEN = ("/proc/kcore", "/proc/keys", "/proc/sysrq-trigger", "/proc/timer_list",
           "/proc/kallsyms", "/proc/sched_debug", "/proc/latency_stats")  # fmt: skip
INODES_PER_MB = 200
_MAX_DESCRIPTORS = 4096
# What every kernel needs, and what the judge's questions need; the notebook's own imports follow.
_ALWAYS = ("ipykernel.kernelapp", "ipykernel.zmqshell", "matplotlib_inline.backend_inline",
           "shardwork.inside.runner", "shardwork.probes.server", "shardwork.lab", "psutil",
           # What a kernel imports when it starts: its debugger alone is a tenth of a second.
           "ipykernel.debugger", "debugpy.server.api", "IPython.core.completerlib",
           "IPython.core.debugger", "IPython.extensions.storemagic")  # fmt: skip
# What a library imports when it is first used, and the functions of `shardwork.lab` when called.
_BEHIND = {
    "dask": ("distributed",),
    "dask_client": ("distributed",),
    "run_ranks": ("torch.distributed", "torch._dynamo", "torch.nn.parallel"),
    "spark": ("pyspark.sql",),
    # Made-up data: NumPy makes it, `Table.pandas` and `Table.spark` hand it on.
    **dict.fromkeys(("orders", "customers", "countries", "clicks", "links"), ("numpy",)),
    "pandas": ("pandas",),
}
# An import of these starts threads or touches what a fork would break.
_NEVER = frozenset({"ray", "__future__"})


class Level(msgspec.Struct, frozen=True):
    """What protects a sandbox on this machine."""

    isolation: Isolation
    privileged: bool = False
    """The batch is root: children become another user of the machine."""
    nested: bool = False
    """Children have namespaces of their own, and one zygote serves all."""
    limits: str = WATCHDOG
    """`cgroup v1`, `cgroup v2` or `watchdog`: what bounds memory and processes."""
    container: ContainerPlan | None = None
    """How the container of each submission is made, where it is one."""

    @property
    def protections(self) -> tuple[str, ...]:
        """What protects, in words that a record keeps."""
        if self.isolation is Isolation.NONE:
            return (self.limits,)
        if self.container is not None:
            image = self.container.image.removeprefix("sha256:")[:12]
            return (f"container: {' '.join(CONTAINER_NAMESPACES)}", "own user of the machine",
                    "no capabilities", "system call filter", "read-only system",
                    "cgroup of the engine", "started anew", f"image {image}")  # fmt: skip
        names = ("user", *NAMESPACES) if self.nested else ("user", *NAMESPACES[:-1])
        user = ("own user of the machine",) if self.privileged else ()
        start = "forked from a zygote" if self.nested else "started anew"
        return (f"namespaces: {' '.join(names)}", *user, "no capabilities", "system call filter",
                "read-only system", self.limits, start)  # fmt: skip


@functools.cache
def level(isolation: Isolation) -> Level:
    """Find out how `isolation` can be had here, the strongest way first.

    Raises MachineError, with the reason and the next step, if it cannot.
    """
    if isolation is Isolation.NONE:
        return Level(isolation, limits=_limits())
    if isolation is Isolation.DOCKER:
        return _in_containers()
    if shutil.which("bwrap") is None:
        raise _refused("bubblewrap (`bwrap`) is not installed")
    seccomp.programs()
    why_not = ""
    for wish in ways():
        why_not = unreachable(wish) or ""
        if not why_not:
            return wish
    raise _refused(f"bubblewrap cannot make a sandbox here: {why_not}")


def _in_containers() -> Level:
    """Return the level of containers, of which one was made and looked at from inside."""
    name = os.environ.get(IMAGE_VARIABLE) or IMAGE
    try:
        engine = Engine(address())
        container.sweep(engine)
        image = engine.image(name)
        if image is None:
            raise _no_container(f"there is no image {name}", f"Build it: {BUILD}")
        plan = ContainerPlan(engine.path, image, seccomp.profile())
        wish = Level(Isolation.DOCKER, limits="cgroup of the engine", container=plan)
        facts = describe(wish)
    except EngineFailed as error:
        raise _no_container(str(error), "Start Docker, or set DOCKER_HOST.") from error
    except ZygoteFailed as error:
        raise _no_container(str(error), f"If the image is an old one: {BUILD}") from error
    if why_not := unmet(facts, wish):
        raise _no_container(why_not, "See docs/operator.md.")
    if why_not := _installed_otherwise(facts):
        raise _no_container(f"the image {name} is not of this installation: {why_not}",
                            f"Build it anew: {BUILD}")  # fmt: skip
    return wish


def _installed_otherwise(facts: Mapping[str, str]) -> str:
    """Return how the image differs from what is installed here, or nothing.

    A record names the versions of this side. Of Python the first two numbers count.
    """
    for name, ours in versions().items():
        theirs = facts.get(f"version {name}", "?")
        if name == "python":
            same = theirs.split(".")[:2] == ours.split(".")[:2]
        else:
            same = theirs.partition("+")[0] == ours.partition("+")[0]
        if not same:
            return f"{name} is {theirs} there and {ours} here"
    return ""


def _no_container(problem: str, step: str) -> MachineError:
    return MachineError(f"No submission was run: {problem}. {step}")


def ways() -> list[Level]:
    """List the ways to shut a submission in that may work here, the strongest first."""
    limits = _limits()
    found = [Level(Isolation.BUBBLEWRAP, nested=nested, limits=limits) for nested in (True, False)]
    if os.geteuid() == 0:
        found.insert(0, Level(Isolation.BUBBLEWRAP, privileged=True, nested=True, limits=limits))
    return found


def problem() -> str | None:
    """Return why submissions cannot be shut in here, or None if they can."""
    try:
        level(Isolation.BUBBLEWRAP)
    except MachineError as error:
        return str(error)
    return None


def _refused(problem: str) -> MachineError:
    return MachineError(
        f"No submission was run: {problem}. Install what is missing with `{INSTALL}` (or see "
        "docs/operator.md where namespaces are forbidden). To run submissions WITHOUT a "
        "sandbox, which lets them read and change everything you can, ask for it: "
        "`--isolation none`; every record will say so."
    )


def _limits() -> str:
    trial = cgroup.make(1 << 30, 100)
    if trial is None:
        return WATCHDOG
    trial.close()
    own = cgroup.own_folders()
    return f"cgroup v{own[0]}" if own else WATCHDOG


def describe(wish: Level) -> dict[str, str]:
    """Return what a child at this level can see. Raises ZygoteFailed if there can be none."""
    if wish.container is not None:
        limits = Limits(memory_mb=1024, scratch_mb=16)
        made = Container(limits, wish.container, plan_at(wish, limits).begin)
        try:
            return made.describe() | {"own uid": str(made.uid)}
        finally:
            made.close()
    zygote = Zygote(plan_at(wish, Limits(scratch_mb=16)))
    try:
        sandbox = Sandbox(Limits(scratch_mb=16), zygote)
        try:
            return sandbox.describe()
        finally:
            sandbox.close()
    finally:
        zygote.close()


def unreachable(wish: Level) -> str | None:
    """Return why a level cannot be had, or None if a child really is shut in."""
    try:
        facts = describe(wish)
    except (ZygoteFailed, OSError) as error:
        return str(error)[:500]
    return unmet(facts, wish)


def unmet(facts: Mapping[str, str], wish: Level) -> str | None:
    """Return what a child sees that it should not at this level, or None."""
    expected = {
        "CapEff": "0" * 16,
        "NoNewPrivs": "1",
        "Seccomp": "2",
        "uid": "1000",
        "interfaces": "lo",
        "writable /": "false",
        "writable /usr": "false",
        "writable /tmp": "true",
        "vsock": "false",
    }
    needed = {"user", *NAMESPACES} - ({"cgroup"} if not wish.nested else set())
    if wish.container is not None:  # a user of the machine that nobody else is
        needed = set(CONTAINER_NAMESPACES)
        expected |= {"uid": facts.get("own uid", "?")}
        expected |= {"container CapEff": "0" * 16, "container CapBnd": "0" * 16,
                     "container NoNewPrivs": "1", "container Seccomp": "2"}  # fmt: skip
    for name, value in expected.items():
        if facts.get(name) != value:
            return f"in the sandbox, {name} is {facts.get(name)!r} and should be {value!r}"
    ours = namespaces()
    shared = [name for name, number in ours.items() if facts.get(f"namespace {name}") == number]
    if shared := [name for name in shared if name in needed]:
        return f"the sandbox shares the machine's namespaces {', '.join(shared)}"
    return None


def namespaces() -> dict[str, str]:
    """Return this process's namespaces by name, as the kernel numbers them."""
    files = {"mount": "mnt", "user": "user", "pid": "pid", "net": "net", "ipc": "ipc",
             "uts": "uts", "cgroup": "cgroup"}  # fmt: skip
    found = {}
    for name, file in files.items():
        path = Path("/proc/self/ns", file)
        if path.is_symlink():
            found[name] = str(path.readlink())
    return found


def plan(assignment: Assignment, isolation: Isolation, files: Mapping[str, Path]) -> Plan:
    """Return how the zygote of an assignment is started: `files` by the name they are given by.

    Raises MachineError if the isolation cannot be had here, or there is no Java for Spark.
    """
    wish = level(isolation)
    java = JavaPlan() if wish.container else java_for(assignment)  # the image has its own
    environment = _environment(assignment, isolation) | java.environment
    readable = {str(folder): folder for folder in java.folders}
    readable |= {f"{FILES_INSIDE}/{name}": folder for name, folder in files.items()}
    imports = tuple(dict.fromkeys((*_ALWAYS, *_imports_of(files.values()))))
    return plan_at(wish, assignment.limits, imports, environment, readable)


def seen_from_inside(isolation: Isolation, name: str, folder: Path) -> str:
    """Return the path by which a zygote sees one of its `files`.

    A container sees none: its judge reads them and hands them over.
    """
    return str(folder) if isolation is not Isolation.BUBBLEWRAP else f"{FILES_INSIDE}/{name}"


class JavaPlan(msgspec.Struct, frozen=True):
    """The Java of an assignment that needs one: what it sets, and where it lies."""

    environment: dict[str, str] = {}
    folders: tuple[Path, ...] = ()


def java_for(assignment: Assignment) -> JavaPlan:
    """Find a Java if the assignment needs one. Raises MachineError if there is none."""
    if assignment.cluster.spark_master is None:
        return JavaPlan()
    from shardwork import spark_archive
    from shardwork.java import find_java

    java = find_java()
    environment, folders = {"JAVA_HOME": str(java.path)}, java.read_only_paths()
    archive = spark_archive.find_archive(java)
    if archive is not None:
        environment[spark_archive.VARIABLE] = str(archive.folder)
        folders += (archive.folder,)
    return JavaPlan(environment, folders)


def plan_at(
    wish: Level,
    limits: Limits,
    imports: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
    readable: Mapping[str, Path] | None = None,
) -> Plan:
    """Return how a zygote is started at a level, with what is `readable` by its path inside."""
    environment, readable = dict(environment or {}), dict(readable or {})
    bounded = wish.limits != WATCHDOG
    if wish.isolation is Isolation.NONE:
        # matplotlib writes its configuration folder when it is imported, and there is no place yet.
        imports = tuple(name for name in imports if not name.startswith("matplotlib"))
        begin = Begin(imports, environment, Confinement(limits=_resource_limits(limits)),
                      home=tempfile.gettempdir(), work=tempfile.gettempdir())  # fmt: skip
        return Plan((), begin, cgroup=bounded, own_files=False)
    if wish.container is not None:
        confinement = Confinement(
            limits=_resource_limits(limits), no_new_privileges=True, seccomp=seccomp.programs()
        )
        begin = Begin(imports, environment, confinement, container.HOME, container.WORK)
        return Plan((), begin, single_use=True, container=wish.container)
    room = bubblewrap.Room(
        readable=readable,
        privileged=wish.privileged,
        nested=wish.nested,
        scratch_mb=limits.scratch_mb,
    )
    confinement = Confinement(
        namespaces=NAMESPACES if wish.nested else (),
        user_namespace=wish.nested,
        scratch_mb=limits.scratch_mb,
        scratch_inodes=limits.scratch_mb * INODES_PER_MB,
        covered=room.covered,
        hidden=_HIDDEN,
        limits=_resource_limits(limits),
        drop_capabilities=wish.nested,  # else bubblewrap has done it
        no_new_privileges=True,
        seccomp=seccomp.programs() if wish.nested else (),
    )
    begin = Begin(imports, environment, confinement, bubblewrap.HOME, bubblewrap.WORK)
    return Plan(
        command=tuple(bubblewrap.command(room)),
        begin=begin,
        single_use=not wish.nested,
        filters=() if wish.nested else seccomp.programs(),
        machine_root=wish.privileged,
        cgroup=bounded,
    )


def _resource_limits(limits: Limits) -> dict[str, int]:
    return {
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": limits.scratch_mb << 20,
        "RLIMIT_NOFILE": _MAX_DESCRIPTORS,
        # Of the user in its own user namespace, threads included.
        "RLIMIT_NPROC": MAX_TASKS,
        "RLIMIT_MSGQUEUE": 0,
        "RLIMIT_MEMLOCK": 8 << 20,
        "RLIMIT_STACK": 64 << 20,
    }


def _imports_of(folders: object) -> list[str]:
    """Return the modules that the released notebooks import, and those behind the lab's functions.

    Every student reads them there.
    """
    import nbformat

    found: list[str] = []
    for folder in folders:  # type: ignore[attr-defined]
        for path in sorted(Path(folder).glob("*.ipynb")):
            for cell in nbformat.read(path, as_version=4).cells:
                if cell.cell_type == "code":
                    found += _imports_in(cell.source)
    return [name for name in found if name.partition(".")[0] not in _NEVER]


def _imports_in(source: str) -> list[str]:
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a cell with a magic command
        return []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found += [alias.name, *_BEHIND.get(alias.name.partition(".")[0], ())]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [node.module, *_BEHIND.get(node.module.partition(".")[0], ())]
        elif isinstance(node, ast.Attribute):
            found += _BEHIND.get(node.attr, ())
    return found


def _environment(assignment: Assignment, isolation: Isolation) -> dict[str, str]:
    home = bubblewrap.HOME if isolation is not Isolation.NONE else tempfile.gettempdir()
    folders = [str(Path(sys.prefix) / "bin"), "/usr/local/bin", "/usr/bin", "/bin"]
    # In a container the package is installed, where this side does not know.
    package = {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    return {
        **(package if isolation is not Isolation.DOCKER else {}),
        "PATH": os.pathsep.join(folders),
        "HOME": home,
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "TMPDIR": "/tmp",
        "IPYTHONDIR": f"{home}/.ipython",
        "MPLCONFIGDIR": f"{home}/.matplotlib",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "TORCH_CPP_LOG_LEVEL": "FATAL",  # what it logs also stands in the exception
        "PYTHONDONTWRITEBYTECODE": "1",
        # Spark places str keys by their hash: driver and workers must agree, and every run.
        "PYTHONHASHSEED": "0",
        "SHARDWORK_SANDBOX": "1",
        "SHARDWORK_SPARK_MASTER": assignment.cluster.spark_master or "",
        "SHARDWORK_DASK_WORKERS": str(assignment.cluster.dask_workers),
    }
