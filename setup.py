"""What pyproject.toml cannot say: the compiled kernels, and where the device profiles live."""

import os
import sys

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

# NEUROFB_CHECKED=1 builds kernels that test every index: for the test suite, not for a session.
checked = bool(os.environ.get("NEUROFB_CHECKED"))

# No flag here lets the compiler treat NaN as impossible or reorder a sum, and contraction to fused
# multiply-add is off: the kernels give the same bits on every processor and for every chunk size.
# The instruction set is chosen at run time (see "clones" in _kernels.pyx), never with -march.
if sys.platform == "win32":
    flags = ["/O2", "/fp:precise"]
else:
    # The last one keeps GCC from unrolling a loop over lanes into scalars before it can become one vector.
    flags = [
        "-O3",
        "-ffp-contract=off",
        "-fno-math-errno",
        "-fno-trapping-math",
        "--param=max-completely-peel-times=4",
    ]

kernels = Extension(
    "neurofb._kernels",
    sources=["src/neurofb/_kernels.pyx"],
    extra_compile_args=flags,
    define_macros=[("NEUROFB_CHECKED", str(int(checked))), ("NEUROFB_FLAGS", '"' + " ".join(flags) + '"')],
)
kernels.cython_directives = {
    "language_level": 3,
    "boundscheck": checked,
    "initializedcheck": checked,
    "wraparound": False,
    "cdivision": True,
    "embedsignature": True,
}


class build_kernels(build_ext):
    """Says what to install when the compiler or Python's header is missing."""

    def run(self) -> None:
        try:
            super().run()
        except Exception as failure:
            raise SystemExit(
                f"neurofb's kernels could not be compiled: {failure}\n"
                "They need a C compiler and Python's header file Python.h. Install both and try again:\n"
                "  Debian, Ubuntu   sudo apt-get install build-essential python3-dev\n"
                "  Fedora           sudo dnf install gcc python3-devel\n"
                "  macOS            xcode-select --install\n"
                "  Windows          Build Tools for Visual Studio, with 'Desktop development with C++'\n"
                "The compiler's own words stand above this message."
            ) from failure


setup(
    # devices/ stands at the top of the repository; installed, it is neurofb._devices.
    packages=[*find_packages("src"), "neurofb._devices", "neurofb._devices.thermodes"],
    package_dir={"": "src", "neurofb._devices": "devices"},
    ext_modules=[kernels],
    cmdclass={"build_ext": build_kernels},
)
