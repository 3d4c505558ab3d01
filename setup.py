"""What pyproject.toml cannot say: a build carries the name of its commit (`edge_agent.version`)."""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).parent))
from edge_agent.version import BUILD_FILE, this_build


class NamedBuild(build_py):
    """Writes the name into the package that is built, never into the checkout."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            package = Path(self.build_lib, "edge_agent")
            (package / BUILD_FILE).write_text(f"{this_build()}\n", encoding="utf-8")


setup(version=this_build(), cmdclass={"build_py": NamedBuild})
