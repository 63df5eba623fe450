"""Builds the compiled decoder (`rust/`) where cargo is there. Without it, or where it fails, one line says so and the
package is whole: it decodes in Python. Everything else about the package is in pyproject.toml."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

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


setup(
    ext_modules=[Extension("tidegate.decode._native", sources=[], optional=True)],
    cmdclass={"build_ext": BuildDecoder},
)
