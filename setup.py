"""Builds the compiled decoder (`rust/`) where cargo is there, and the web console (`web/`) where npm is and nobody
built it before. Without them, or where they fail, one line says so: the package decodes in Python then, and its server
says how the console is built. Everything else about the package is in pyproject.toml."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

WEB = Path(__file__).resolve().parent / "web"
CONSOLE = Path(__file__).resolve().parent / "src" / "tidegate" / "console" / "static" / "index.html"
CRATE = Path(__file__).resolve().parent / "rust"
DEADLINE_S = 600


class BuildDecoder(build_ext):
    def get_ext_filename(self, fullname: str) -> str:
        # No module of Python's: a library that is loaded by its path, the same for every version of Python.
        return str(Path(*fullname.split(".")).with_suffix(".so"))

    def build_extension(self, ext: Extension) -> None:
        cargo = shutil.which("cargo")
        if cargo is None:
            self.warn("no cargo here: the compiled decoder is not built, logs are decoded in Python")
            return
        command = [cargo, "build", "--release", "--offline", "--quiet", "--manifest-path", str(CRATE / "Cargo.toml")]
        try:
            arguments = [*command, "--target-dir", str(CRATE / "target")]
            subprocess.run(arguments, check=True, timeout=DEADLINE_S)  # noqa: S603  the toolchain of whoever installs
            built = Path(self.get_ext_fullpath(ext.name))
            built.parent.mkdir(parents=True, exist_ok=True)
            # Beside it and then in its place: a process may have the old one loaded.
            beside = built.with_suffix(".new")
            shutil.copyfile(CRATE / "target" / "release" / "libtidegate_native.so", beside)
            beside.replace(built)
        except (OSError, subprocess.SubprocessError) as error:
            self.warn(f"the compiled decoder is not built, logs are decoded in Python: {type(error).__name__}")


class BuildConsole(build_py):
    def run(self) -> None:
        # Who works on a checkout builds it with make.
        if not self.editable_mode and not CONSOLE.exists() and WEB.exists():
            self._build()
            self.data_files = self._get_data_files()
        super().run()

    def _build(self) -> None:
        npm = shutil.which("npm")
        if npm is None:
            self.warn("no npm here: the web console is not built; `make console` builds it where there is Node.js 20")
            return
        try:
            # Not `ci`: it refuses a lock without the optional packages of platforms that a registry does not carry.
            install = ["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]
            for arguments in (install, ["run", "build"]):
                subprocess.run([npm, *arguments], cwd=WEB, check=True, timeout=DEADLINE_S)  # noqa: S603  as above
        except (OSError, subprocess.SubprocessError) as error:
            self.warn(f"the web console is not built ({type(error).__name__}); `make console` says why")


setup(
    ext_modules=[Extension("tidegate.decode._native", sources=[], optional=True)],
    cmdclass={"build_ext": BuildDecoder, "build_py": BuildConsole},
)
