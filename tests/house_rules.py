"""The house rules: who imports whom, what a pure file may do, what no file may hold.

It must never import what it judges: it reads syntax trees and text.  Each rule is one function from
the files to its offences; `test_house_rules.py` runs them.
"""

from __future__ import annotations

import ast
import keyword
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

# --------------------------------------------------------------------------------- the rules

# Who may be imported beside the own room.  `agent` is the pump; `app` and what stands above it
# put the parts together; every other room knows the shared words only.
NEIGHBOURS: dict[str, set[str]] = {"agent": {"contract", "dialogue"}, "contract": set()}
COMPOSERS = {"app", "cli", "demo", "__main__"}

PURE = ("contract/", "dialogue/", "realtime/protocol/", "panel/patterns")
IMPURE_MODULES = {
    *("asyncio", "concurrent", "ctypes", "fcntl", "glob", "http", "importlib", "io", "logging"),
    *("mmap", "multiprocessing", "numpy", "os", "pathlib", "queue", "random", "requests", "sched"),
    *("select", "selectors", "shutil", "signal", "socket", "ssl", "subprocess", "sysconfig"),
    *("tempfile", "threading", "time", "urllib", "uuid", "websockets"),
}

MAX_LINES = 450  # beyond this a file has a second purpose
TABLES = {"edge_agent/host/journal/messages.py"}
"""May be longer: one table, looked up by its keys.  Functions stand in another file."""


@dataclass(frozen=True)
class Owner:
    """Where a heavy library may be imported; `lazy`: only inside functions there."""

    files: str  # regular expression on the path inside edge_agent
    lazy: bool = True


HEAVY: dict[str, Owner] = {
    "gpiozero": Owner(r"panel/gpio\.py"),
    "lgpio": Owner(r"panel/gpio\.py"),
    "livekit": Owner(r"(?!)"),  # to compare with, never ours
    "anyio": Owner(r"tools/servers/mcp_\w+\.py"),
    "httpx2": Owner(r"tools/servers/mcp_\w+\.py"),
    "matplotlib": Owner(r"(cli|demo)/.*\.py"),
    "mcp": Owner(r"tools/servers/mcp_\w+\.py"),
    "mcp_types": Owner(r"tools/servers/mcp_\w+\.py"),
    "msgspec": Owner(r"(realtime|host/stores)/.*\.py", lazy=False),
    "numpy": Owner(r"(audio|simulation|demo)/.*\.py|cli/demo.*\.py", lazy=False),
    "openai": Owner(r"(?!)"),  # a client for the tests, never ours
    "psutil": Owner(r"(?!)"),
    "pyaudio": Owner(r"audio/device/portaudio_library\.py"),
    "pydantic": Owner(r"(host|tools)/.*\.py", lazy=False),
    "pydantic_core": Owner(r"host/.*\.py", lazy=False),
    "pydantic_settings": Owner(r"host/.*\.py", lazy=False),
    "micro_features_cpp": Owner(r"audio/detectors\.py"),
    "pymicro_features": Owner(r"audio/detectors\.py"),
    "pymicro_wakeword": Owner(r"audio/detectors\.py"),
    "rich": Owner(r"(cli|demo)/.*\.py", lazy=False),
    "systemd": Owner(r"host/journal/journal\.py"),
    "typer": Owner(r"cli/.*\.py", lazy=False),
    "webrtcvad": Owner(r"audio/detectors\.py"),
    "_webrtcvad": Owner(r"audio/detectors\.py"),
    "websockets": Owner(r"realtime/link/dialer\.py|simulation/.*\.py", lazy=False),
}

# Written in pieces, so that this file does not offend against itself.
PLACES = re.compile("(?<![\\w.])/(?:wo" + "rk|ro" + "ot)(?![\\w-])|/t" + "mp/(?:bash|brief|issues)")
HOSTS = re.compile(
    "py"
    + r"pi\.org|pythonhos"
    + r"ted\.org|pi"
    + r"wheels\.org|deb\.debi"
    + r"an\.org|npm"
    + r"js\.",
)
UNFINISHED = re.compile(r"\b(?:TO" + "DO|FIX" + r"ME|XX" + r"X)\b")

TEXTS = (
    *(".py", ".sh", ".md", ".toml", ".txt", ".service", ".json", ".html", ".conf", ".yml", ".yaml"),
)
FOLDERS = (
    *("edge_agent", "tests", "benchmarks", "scripts"),
    *("config", "systemd", "requirements", ".ci"),
)


DEFINITION = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

# --------------------------------------------------------------------------------- the files


@dataclass(frozen=True)
class Module:
    """One Python file of the package: its path inside `edge_agent` and its tree."""

    path: str
    source: str
    tree: ast.Module

    @property
    def room(self) -> str:
        return self.path.split("/")[0].removesuffix(".py")

    def at(self, node: ast.AST) -> str:
        return f"edge_agent/{self.path}:{getattr(node, 'lineno', 1)}"


@dataclass(frozen=True)
class House:
    """The checkout: the package's modules, and every text file by its path."""

    modules: list[Module]
    texts: dict[str, str]


def read_house(root: Path) -> House:
    package = root / "edge_agent"
    modules = []
    for file in sorted(package.rglob("*.py")):
        source = file.read_text(encoding="utf-8")
        path = file.relative_to(package).as_posix()
        modules.append(Module(path, source, ast.parse(source, filename=str(file))))
    texts = {}
    for file in (*root.iterdir(), *(f for d in FOLDERS for f in (root / d).rglob("*"))):
        if file.is_file() and (file.suffix in TEXTS or file.parent.name == ".ci"):
            texts[file.relative_to(root).as_posix()] = file.read_text(encoding="utf-8")
    return House(modules, texts)


def imports(module: Module) -> Iterator[tuple[ast.stmt, str, bool]]:
    """Yield (statement, absolute dotted name, is it inside a function) of every import.

    `from a.b import c` yields `a.b.c`: whether c is a module is not known here, and a prefix is
    all the rules ask for.
    """
    inside = {
        id(child)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.walk(node)
    }
    package = ("edge_agent/" + module.path).split("/")[:-1]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name, id(node) in inside
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package[: len(package) - node.level + 1]
                base = ".".join([*parents, base]).rstrip(".")
            for alias in node.names:
                yield node, f"{base}.{alias.name}", id(node) in inside


def calls(tree: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, ast.unparse(node.func)


# ----------------------------------------------------------------------------- rule by rule


def rooms_do_not_import_one_another(house: House) -> Iterator[str]:
    for module in house.modules:
        if module.room in COMPOSERS:
            continue
        allowed = NEIGHBOURS.get(module.room, {"contract"}) | {module.room}
        for node, name, _ in imports(module):
            parts = name.split(".")
            if parts[0] != "edge_agent" or parts[1:] in ([], ["__version__"]):
                continue
            if parts[1] not in allowed:
                yield f"{module.at(node)} imports {name}; may only: {sorted(allowed)}"


def imported(house: House) -> dict[str, list[Module]]:
    """For each module's path those of ours that it imports, also only for its annotations."""
    by_name = {
        f"edge_agent/{m.path}".removesuffix(".py").replace("/", "."): m for m in house.modules
    }
    found: dict[str, list[Module]] = {module.path: [] for module in house.modules}
    for module in house.modules:
        for _, name, _ in imports(module):
            for target in (name, name.rpartition(".")[0]):
                if target in by_name:
                    found[module.path].append(by_name[target])
    return found


def circles(house: House) -> list[list[str]]:
    """Sets of files each of which imports all others, by however many steps."""
    steps = {path: {m.path for m in targets} for path, targets in imported(house).items()}
    reached: dict[str, set[str]] = {}
    for start, first in steps.items():
        seen: set[str] = set()
        todo = list(first)
        while todo:
            if (path := todo.pop()) not in seen:
                seen.add(path)
                todo.extend(steps[path])
        reached[start] = seen
    rings = {
        tuple(sorted(other for other in seen if path in reached[other]))
        for path, seen in reached.items()
        if path in seen
    }
    return [list(ring) for ring in sorted(rings)]


def files_do_not_import_in_circles(house: House) -> Iterator[str]:
    for ring in circles(house):
        yield f"{', '.join(f'edge_agent/{path}' for path in ring)}: a circle of imports"


def nobody_reads_anothers_underscore(house: House) -> Iterator[str]:
    for module in house.modules:
        nodes = list(ast.walk(module.tree))
        own = {n.name for n in nodes if isinstance(n, DEFINITION)}
        own |= {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        attributes = [n for n in nodes if isinstance(n, ast.Attribute)]
        own |= {n.attr for n in attributes if isinstance(n.ctx, ast.Store) and is_own(n)}
        library = {a.asname or a.name for n in nodes if isinstance(n, ast.Import) for a in n.names}
        for read in attributes:
            private = re.match(r"_[^_]", read.attr) and ast.unparse(read.value) not in library
            if private and not is_own(read) and read.attr not in own:
                yield f"{module.at(read)} reads {ast.unparse(read)}, which is not its own"
        for node, name, _ in imports(module):
            if name.startswith("edge_agent.") and re.match(r"_[^_]", name.rpartition(".")[2]):
                yield f"{module.at(node)} imports {name}, which is not its own"


def is_own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def dialogue_parts_do_not_inherit_from_one_another(house: House) -> Iterator[str]:
    for module in house.modules:
        if module.room != "dialogue":
            continue
        ours = {n.name for n in ast.walk(module.tree) if isinstance(n, ast.ClassDef)}
        for node, name, _ in imports(module):
            if name.startswith("edge_agent.dialogue.") and isinstance(node, ast.ImportFrom):
                last = name.rpartition(".")[2]
                ours |= {a.asname or a.name for a in node.names if a.name == last}
        for part in ast.walk(module.tree):
            for base in part.bases if isinstance(part, ast.ClassDef) else []:
                if ast.unparse(base).split("[")[0].split(".")[0] in ours:
                    yield f"{module.at(part)} inherits from {ast.unparse(base)}: hand it in instead"


def one_place_cuts_our_voice(house: House) -> Iterator[str]:
    places = [
        module.at(call)
        for module in house.modules
        if module.room == "dialogue"
        for call, name in calls(module.tree)
        if name.split(".")[-1] == "CutPlayback"
    ]
    home = [place for place in places if place.startswith("edge_agent/dialogue/moves.py")]
    for place in places:
        if place not in home[:1]:
            yield f"{place} issues CutPlayback; call `Moves.fall_silent`"


# A regular expression with the prefix of a key, or what comes after "Bearer".
KEY_PATTERN = re.compile(r"\b(?:sk|ek|xai|pk|rk)(?![a-z0-9])\S*[|\[\\]|[Bb]earer\S*\\[sS]", re.I)
SECRETS, HOSTS_HOME = "contract/secrets.py", "contract/hosts.py"


def one_place_knows_keys_and_this_machine(house: House) -> Iterator[str]:
    for module in house.modules:
        prose = {id(docstring) for docstring in docstrings(module)}
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                is_pattern = KEY_PATTERN.search(node.value) and id(node) not in prose
                if is_pattern and module.path != SECRETS:
                    yield f"{module.at(node)} says what a key looks like; ask {SECRETS}"
            asks = isinstance(node, ast.Attribute) and node.attr == "is_loopback"
            if asks and module.path != HOSTS_HOME:
                yield f"{module.at(node)} asks for the loopback; ask {HOSTS_HOME}"


FAULTS_HOME, PROVIDERS_HOME = "contract/net_faults.py", "app/wiring.py"
FAULT_SIGNS = {
    *("verify_code", "SSLCertVerificationError", "gaierror", "parsedate_to_datetime"),
    *("insufficient_quota", "billing_not_active", "invalid_api_key", "model_not_found"),
    *("rate_limit_exceeded", "session_expired"),
}
"""What only somebody needs who tells the causes of network trouble apart."""


def one_table_of_network_faults(house: House) -> Iterator[str]:
    for module in house.modules:
        if module.path != FAULTS_HOME and not module.path.startswith(DOUBLES):
            for node, name in words(module):
                if name in FAULT_SIGNS:
                    yield f"{module.at(node)} tells faults apart by {name}; ask {FAULTS_HOME}"


PROVIDER_URL = re.compile(r"wss://[\w.{}-]+\.(com|ai|net)\b")
PROVIDER_RECORDS = {"Provider", "Capabilities"}


def one_table_of_providers(house: House) -> Iterator[str]:
    for module in house.modules:
        for node, text in words(module):
            if PROVIDER_URL.search(text):
                yield f"{module.at(node)} knows a provider; it belongs into config/providers.toml"
        for call, name in calls(module.tree):
            if name.rpartition(".")[2] in PROVIDER_RECORDS and module.path != PROVIDERS_HOME:
                yield f"{module.at(call)} makes a {name}; call `provider_of` in {PROVIDERS_HOME}"


SECRETS_READER = "host/secret_files.py"
OPEN_TO_OTHERS = {"S_IRGRP", "S_IROTH", "S_IRWXG", "S_IRWXO"}
SECRET_FILE = re.compile(r"(key|token|secret|password|headers|env)\w*_(file|path)", re.I)


def one_reader_of_secret_files(house: House) -> Iterator[str]:
    for module in house.modules:
        if module.path == SECRETS_READER or module.path.startswith(DOUBLES):
            continue
        for node, name in words(module):
            if name in OPEN_TO_OTHERS:
                yield f"{module.at(node)} judges who may read a file; ask {SECRETS_READER}"
        for call, name in calls(module.tree):
            reads = re.fullmatch(r".*\.(open|read_text|read_bytes)|open", name)
            if reads and SECRET_FILE.search(ast.unparse(call)):
                yield f"{module.at(call)} reads a secret; ask {SECRETS_READER}"


def words(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Every name that is read or imported, and every text but the docstrings."""
    prose = {id(docstring) for docstring in docstrings(module)}
    for node in ast.walk(module.tree):
        match node:
            case ast.Attribute(attr=name) | ast.Name(id=name):
                yield node, name
            case ast.alias(name=name):
                yield node, name.rpartition(".")[2]
            case ast.Constant(value=str(text)) if id(node) not in prose:
                yield node, text


def pure_modules(house: House) -> list[Module]:
    """The files named pure, and whatever of ours they import: they are no purer than that."""
    targets = imported(house)
    found = [m for m in house.modules if m.path.startswith(PURE)]
    for module in found:
        found += [m for m in dict.fromkeys(targets[module.path]) if m not in found]
    return found


def pure_files_do_no_io(house: House) -> Iterator[str]:
    for module in pure_modules(house):
        for node, name, _ in imports(module):
            if name.split(".")[0] in IMPURE_MODULES:
                yield f"{module.at(node)} imports {name}; this file decides, it does no I/O"
        for call, name in calls(module.tree):
            if name in ("open", "print", "input", "__import__"):
                yield f"{module.at(call)} calls {name}(); this file decides, it does no I/O"


def heavy_libraries_have_one_owner(house: House) -> Iterator[str]:
    for module in house.modules:
        for node, name, inside in imports(module):
            owner = HEAVY.get(name.split(".")[0])
            if owner is None:
                continue
            library = name.split(".")[0]
            if not re.fullmatch(owner.files, module.path):
                yield f"{module.at(node)} imports {library}; only {owner.files} may"
            elif owner.lazy and not inside:
                yield f"{module.at(node)} imports {library} for everybody; do it in a function"


NO_THREAD = re.compile(r"\b(Owner( thread)?|Thread): (none|any, pure)\b")
THREADS = re.compile(r"threading\.Thread|.*\.(run_in_executor|to_thread|call_soon_threadsafe)")
"""Calls that bring a second thread into a file."""


def modules_say_what_they_are(house: House) -> Iterator[str]:
    """What a file does stands in its docstring; on which thread, where there is more than one."""
    for module in house.modules:
        text = ast.get_docstring(module.tree) or ""
        if module.source.strip() and not text:
            yield f"edge_agent/{module.path} has no docstring"
        if "(purpose)" in text or NO_THREAD.search(text):
            yield f"edge_agent/{module.path}: say what the file does, and name only real threads"
        made = [call for call, name in calls(module.tree) if THREADS.fullmatch(name)]
        if made and not re.search(r"thread|executor|loop", text, re.I):
            yield f"{module.at(made[0])} uses another thread, of which the docstring says nothing"


def contract_is_documented(house: House) -> Iterator[str]:
    for module in house.modules:
        if module.room != "contract":
            continue
        scopes: list[ast.Module | ast.ClassDef] = [module.tree]
        for scope in scopes:
            for node in scope.body:
                if isinstance(node, DEFINITION) and not node.name.startswith("_"):
                    if not ast.get_docstring(node):
                        yield f"{module.at(node)} {node.name} has no docstring"
                    if isinstance(node, ast.ClassDef):
                        scopes.append(node)


def files_have_one_purpose(house: House) -> Iterator[str]:
    for path, text in house.texts.items():
        lines = text.count("\n")
        # A test file is a list of cases; its length says nothing.
        judged = path.endswith((".py", ".sh")) and not path.startswith("tests/")
        if path in TABLES:
            if any(isinstance(node, FUNCTION) for node in ast.walk(ast.parse(text))):
                yield f"{path} is a table: put its functions elsewhere"
        elif judged and lines > MAX_LINES:
            yield f"{path} has {lines} lines, more than {MAX_LINES}: split it by meaning"


def only_the_command_line_prints(house: House) -> Iterator[str]:
    for module in house.modules:
        if module.room not in ("cli", "demo"):
            for call, name in calls(module.tree):
                if name in ("print", "sys.stdout.write", "sys.stderr.write"):
                    yield f"{module.at(call)} calls {name}; log, or leave it to cli"


def nothing_sleeps_or_reads_the_clock_in_async(house: House) -> Iterator[str]:
    for module in house.modules:
        for call, name in calls(module.tree):
            if name == "time.sleep":
                yield f"{module.at(call)} calls time.sleep; wait on an event, or on the loop"
        for node, name, _ in imports(module):
            if name == "time.sleep":
                yield f"{module.at(node)} imports sleep; wait on an event, or on the loop"
        for function in ast.walk(module.tree):
            if isinstance(function, ast.AsyncFunctionDef) and module.room not in ("cli", "demo"):
                for call, name in calls(function):
                    if re.fullmatch(r"time\.(time|monotonic|perf_counter)(_ns)?", name):
                        yield f"{module.at(call)} calls {name} in async code; ask the loop"


def no_exception_is_swallowed(house: House) -> Iterator[str]:
    broad = ("", "Exception", "BaseException")
    for module in house.modules:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ExceptHandler):
                kind = ast.unparse(node.type) if node.type else ""
                quiet = all(
                    isinstance(s, ast.Pass | ast.Continue)
                    or (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))
                    for s in node.body
                )
                if kind in broad and quiet:
                    yield f"{module.at(node)} swallows every exception; name the one you mean"
        for call, name in calls(module.tree):
            if name.endswith("suppress") and any(ast.unparse(a) in broad for a in call.args):
                yield f"{module.at(call)} suppresses every exception; name the one you mean"


def nothing_of_one_machine(house: House) -> Iterator[str]:
    for path, text in house.texts.items():
        for number, line in enumerate(text.splitlines(), 1):
            if match := PLACES.search(line):
                yield f"{path}:{number} names a place on one machine: {match[0]}"
            if match := HOSTS.search(line):
                yield f"{path}:{number} names a package registry: {match[0]}"


def nothing_is_left_for_later(house: House) -> Iterator[str]:
    for path, text in house.texts.items():
        for number, line in enumerate(text.splitlines(), 1):
            if match := UNFINISHED.search(line):
                yield f"{path}:{number} says {match[0]}: do it, or write an issue"


KNOWN_BREAKS = "tests/known_breaks/known.py"
"""The one place that may expect a failure, and only where a success would then fail."""


def no_test_is_skipped(house: House) -> Iterator[str]:
    for path, text in house.texts.items():
        if path.startswith("tests/") and path.endswith(".py"):
            tree = ast.parse(text)
            allowed = _strict_expectations(tree) if path == KNOWN_BREAKS else set()
            for node in ast.walk(tree):
                if not isinstance(node, ast.Attribute) or id(node) in allowed:
                    continue
                name = ast.unparse(node)
                if re.fullmatch(r"(pytest|unittest)\.(mark\.)?(skip\w*|xfail|importorskip)", name):
                    yield f"{path}:{node.lineno} uses {name}: a test runs, or is not there"


def _strict_expectations(tree: ast.AST) -> set[int]:
    """The `pytest.mark.xfail` of calls that say strict=True."""
    return {
        id(call.func)
        for call, name in calls(tree)
        if name == "pytest.mark.xfail"
        and any(k.arg == "strict" and ast.unparse(k.value) == "True" for k in call.keywords)
    }


NAME = re.compile(r"`([a-z_][\w.]*)(?:\(\))?`")
FOREIGN = {"call_exception_handler"}  # of the standard library's classes, by name alone
WORD_MAX_CHARS = 60  # a longer text of the program is a sentence: its words are no names


def docstrings(module: Module) -> Iterator[ast.Constant]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value


def names_in(module: Module) -> set[str]:
    """Every name that a module has or uses: modules, definitions, attributes, keys, short texts."""
    names = set(module.path.removesuffix(".py").split("/"))
    prose = {id(docstring) for docstring in docstrings(module)}
    for node in ast.walk(module.tree):
        match node:
            case ast.FunctionDef(name=n) | ast.AsyncFunctionDef(name=n) | ast.ClassDef(name=n):
                names.add(n)
            case ast.Name(id=n) | ast.Attribute(attr=n) | ast.arg(arg=n) | ast.keyword(arg=str(n)):
                names.add(n)
            case ast.alias(name=n) | ast.ImportFrom(module=str(n)):
                names |= set(n.split("."))
            case ast.Constant(value=str(text)) if (
                len(text) < WORD_MAX_CHARS and id(node) not in prose
            ):
                names |= set(re.findall(r"\w+", text))
    return names


def docstrings_name_what_there_is(house: House) -> Iterator[str]:
    known = FOREIGN.union(keyword.kwlist, *(names_in(m) for m in house.modules))
    files = {path.rpartition("/")[2] for path in house.texts}
    for module in house.modules:
        for docstring in docstrings(module):
            for name in NAME.findall(str(docstring.value)):
                example = "__" in name or re.search(r"\d", name)
                if not example and name not in files and not known.issuperset(name.split(".")):
                    yield f"{module.at(docstring)} tells of `{name}`, which is nowhere"


FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
CHECK = re.compile(r"pytest\.(raises|warns|fail|deprecated_call)")


def tests_can_fail(house: House) -> Iterator[str]:
    """A test asserts: itself, in `pytest.raises`, or by a function of the tests that asserts.

    Such a function or method is looked for by its name, in the test's file and in the test helpers
    that this file imports.  What the package raises does not count: a test that only wants no
    exception says what came of it instead.
    """
    trees = {
        path: ast.parse(text)
        for path, text in house.texts.items()
        if path.startswith("tests/") and path.endswith(".py")
    }
    by_module = {Path(path).stem: path for path in trees}
    helpers = {path: list(functions(tree)) for path, tree in trees.items()}
    known = {}  # the file itself and the test helpers that it imports
    for path, tree in trees.items():
        names = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names |= {alias.name for alias in node.names}
            if isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.rpartition(".")[2])
        known[path] = [path, *(by_module[name] for name in sorted(names) if name in by_module)]

    def asserts(path: str, node: ast.AST, seen: frozenset[str]) -> bool:
        wanted = set()
        for part in ast.walk(node):
            if isinstance(part, ast.Assert):
                return True
            if isinstance(part, ast.Raise) and "AssertionError" in ast.unparse(part):
                return True
            if isinstance(part, ast.Call):
                name = ast.unparse(part.func)
                if CHECK.fullmatch(name):
                    return True
                wanted.add(name.rpartition(".")[2])
        return any(
            asserts(place, function, seen | wanted)
            for place in known[path]
            for function in helpers[place]
            if function.name in wanted - seen
        )

    for path, found in helpers.items():
        for test in found:
            if test.name.startswith("test_") and not asserts(path, test, frozenset({test.name})):
                yield f"{path}:{test.lineno} {test.name} asserts nothing, so it can hardly fail"


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions and methods, but none inside another function: it belongs to that one."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, FUNCTION):
            yield node
        else:
            yield from functions(node)


# Called by decorator (a command, a validator, a dispatched method), never by name.
REGISTERS = re.compile(r"(\w*app\.(command|callback)|(field|model)_validator|\w+\.register)\b")
ALIVE: dict[str, str] = {
    "catalog": "systemd/edge-agent.catalog is made by it",
    "diagram": "ARCHITECTURE.md's picture is drawn by it",
    "queued_ms": "chaos and soak judge the uplink by it",
    # What a library calls.
    "get_map": "selectors",
    "handle_async_request": "httpx",
    "do_open": "urllib",
    "readinto": "io",
    "readable": "io",
    "process_redirect": "websockets",
    "process_event": "websockets",
    "connection_made": "asyncio",
    "connection_lost": "asyncio",
    "redirect_request": "urllib",
    "run_in_executor": "asyncio",
    "select": "selectors",
    "send_data": "websockets",
    "settings_customise_sources": "pydantic-settings",
    "decode_complex_value": "pydantic-settings",
    "get_field_value": "pydantic-settings",
    "prepare_field_value": "pydantic-settings",
    "_load_env_vars": "pydantic-settings",
    "_read_files": "pydantic-settings",
    "_close_self_pipe": "asyncio",
    "_make_self_pipe": "asyncio",
    "_write_to_self": "asyncio",
}
"""Functions that nothing in the package names, and who needs them."""
DOUBLES = ("simulation/", "demo/")  # the tests' stand-ins: a test may be their only user


def everything_is_used(house: House) -> Iterator[str]:
    """A function, method or class is named somewhere else in the package; one of `DOUBLES` there
    or in tests, benchmarks and scripts.  Names alone are compared, so a dead method that shares
    its name with a living one is not found."""
    in_package = sum((used_names(module.tree) for module in house.modules), Counter())
    anywhere = in_package + sum(
        (
            used_names(ast.parse(text))
            for path, text in house.texts.items()
            if path.endswith(".py") and not path.startswith("edge_agent/")
        ),
        Counter(),
    )
    for module in house.modules:
        known = anywhere if module.path.startswith(DOUBLES) else in_package
        for node in ast.walk(module.tree):
            if not isinstance(node, DEFINITION) or node.name.startswith("__"):
                continue
            registered = any(REGISTERS.match(ast.unparse(d)) for d in node.decorator_list)
            used = known[node.name] - used_names(node)[node.name]
            if not (used or registered or node.name in ALIVE):
                yield f"{module.at(node)} {node.name} is used by nobody"


def used_names(tree: ast.AST) -> Counter[str]:
    """How often each name is read in it; an import counts only if it gives another name."""
    names: Counter[str] = Counter()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name, ctx=ast.Load()):
                names[name] += 1
            case ast.alias(name=name, asname=str()):
                names[name.rpartition(".")[2]] += 1
            case ast.Constant(value=str(name)) if name.isidentifier():
                names[name] += 1  # for `getattr`
    return names


Rule = Callable[[House], Iterator[str]]
RULES: list[Rule] = [
    rooms_do_not_import_one_another,
    files_do_not_import_in_circles,
    nobody_reads_anothers_underscore,
    dialogue_parts_do_not_inherit_from_one_another,
    one_place_cuts_our_voice,
    one_place_knows_keys_and_this_machine,
    one_table_of_network_faults,
    one_table_of_providers,
    one_reader_of_secret_files,
    pure_files_do_no_io,
    heavy_libraries_have_one_owner,
    modules_say_what_they_are,
    contract_is_documented,
    docstrings_name_what_there_is,
    files_have_one_purpose,
    only_the_command_line_prints,
    nothing_sleeps_or_reads_the_clock_in_async,
    no_exception_is_swallowed,
    nothing_of_one_machine,
    nothing_is_left_for_later,
    no_test_is_skipped,
    tests_can_fail,
    everything_is_used,
]
