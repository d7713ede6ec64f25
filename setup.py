"""What pyproject.toml can't say: the wheel has the catalogs of messages compiled, and not as translators write them."""

from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithCatalogs(build_py):
    """Copy modules and data as always, then compile."""

    def run(self) -> None:
        super().run()
        for source in sorted(Path("app/translations").glob("*/LC_MESSAGES/*.po")):
            compiled = Path(self.build_lib, source).with_suffix(".mo")
            compiled.parent.mkdir(parents=True, exist_ok=True)
            with source.open("rb") as text, compiled.open("wb") as file:
                write_mo(file, read_po(text))


setup(cmdclass={"build_py": BuildWithCatalogs})
