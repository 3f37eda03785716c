"""Where YAMLs are, and how Hydra finds them.

Search path: the user's directory (`--config-dir`) before ours. A task is one YAML in `task/`; the
groups `source` and `target` both look there. `source=[a,b]` chooses several, which Hydra sees as
one option `a+b`: a YAML that only names the two.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.version import setbase
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

import ctkd_cli
from ctkd_cli.errors import InputError, Problem
from ctkd_cli.settings import literals, plain_data

GROUPS = (
    "source",
    "target",
    "teacher",
    "student",
    "loss",
    "bridge",
    "schedule",
    "device",
    "training",
    "controls",
    "experiment",
)
BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
CONFIG_DIR_VARIABLE = "CTKD_CONFIG_DIR"  # how jobs in other processes find the user's directory


def packaged_configs() -> Path:
    """`configs/` in a checkout, `ctkd_cli/configs/` in an installed wheel."""
    package = Path(ctkd_cli.__file__).parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def user_config_dir() -> str | None:
    """The folder that the user has named with --config-dir."""
    return os.environ.get(CONFIG_DIR_VARIABLE) or None


def config_dirs() -> list[Path]:
    """Where YAMLs are looked for, first match wins."""
    theirs = user_config_dir()
    return [*([Path(theirs)] if theirs else []), packaged_configs()]


def options(group: str) -> list[str]:
    """Names that a group offers, from the user's folder and ours."""
    folders = [group, "task"] if group in ("source", "target") else [group]
    names = {
        file.stem
        for root in config_dirs()
        for folder in folders
        for file in (root / folder).glob("*.yaml")
        if file.is_file()
    }
    return sorted(names)


def option_file(group: str, option: str) -> Path | None:
    """The YAML behind an option; the user's wins over ours."""
    folders = [group, "task"] if group in ("source", "target") else [group]
    for root in config_dirs():
        for folder in folders:
            if (file := root / folder / f"{option}.yaml").is_file():
                return file
    return None


def several(config_path: str) -> list[str]:
    """The options that `source/a+b` puts together; [] when it is one option's path."""
    group, _, option = config_path.removesuffix(".yaml").partition("/")
    single = "+" not in option or option_file(group, option) is not None
    return [] if group != "source" or single else option.split("+")


class TaskAliases(FileConfigSource):
    """A folder of YAMLs in which the groups `source` and `target` also hold all of `task`, and
    `source` every combination of them."""

    @staticmethod
    def scheme() -> str:
        return "ctkd"

    def _actual(self, config_path: str) -> str:
        group, slash, rest = config_path.partition("/")
        if group not in ("source", "target") or Path(self.path, config_path).exists():
            return config_path
        if slash and Path(self.path, self._normalize_file_name(config_path)).exists():
            return config_path
        return f"task{slash}{rest}"

    def load_config(self, config_path: str) -> ConfigResult:
        """Raises InputError for a YAML that cannot be read, naming file and line, and for one
        that is more than data."""
        if names := several(config_path):
            listed = [{f"/source@{name}": name} for name in names]
            together = OmegaConf.create({"defaults": listed})
            return ConfigResult(self.provider, self.full_path(), together, {"package": None})
        actual = self._actual(config_path)
        file = Path(self.path, self._normalize_file_name(actual))
        try:
            text = file.read_text(encoding="utf-8")
            plain_data.require_bounded(text)
            content = literals.in_yaml(text) or {}
        except MarkedYAMLError as error:
            line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
            raise _unreadable(f"{file}{line}", str(error.problem)) from None
        except (ValueError, YAMLError, OSError) as error:  # UnicodeDecodeError among them
            raise _unreadable(str(file), str(error)) from None
        if not isinstance(content, dict):
            raise _unreadable(str(file), f"a {type(content).__name__}")
        problems = list(plain_data.in_yaml(content, str(file)))
        if problems:
            raise InputError(*problems)
        try:
            config = OmegaConf.create(content)
        except OmegaConfBaseException as error:
            raise _unreadable(str(file), str(error)) from None
        return ConfigResult(self.provider, self.full_path(), config, self._get_header_dict(text))

    def is_group(self, config_path: str) -> bool:
        return super().is_group(self._actual(config_path))

    def is_config(self, config_path: str) -> bool:
        if names := several(config_path):
            return all(option_file("source", name) for name in names)
        return super().is_config(self._actual(config_path))

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        found = super().list(self._actual(config_path), results_filter)
        if config_path == "" and "task" in found:  # for tab completion
            found += [group for group in ("source", "target") if group not in found]
        return found


class CtkdSearchPath(SearchPathPlugin):
    """Puts the user's folder and ours on Hydra's search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in config_dirs():
            search_path.append(provider="ctkd", path=f"ctkd://{folder}")


def register_plugins() -> None:
    """Make the plugins above known to Hydra in this process."""

    Plugins.instance().register(TaskAliases)
    Plugins.instance().register(CtkdSearchPath)
    # It would compose every job once more before the first begins; all have been validated.
    basic: Any = Plugins.instance().class_name_to_class[BASIC_SWEEPER]
    basic.validate_batch_is_legal = lambda sweeper, batch: None


@contextmanager
def initialised() -> Iterator[None]:
    """Hydra ready to compose from our search path, whatever it was used for before."""
    register_plugins()
    GlobalHydra.instance().clear()
    setbase("1.3")
    # What hydra.initialize does, but for its look through the stack for the caller's file.
    Hydra.create_main_hydra2("ctkd", create_config_search_path(None))
    try:
        assert isinstance(GlobalHydra.instance().config_loader(), ConfigLoaderImpl)
        yield
    finally:
        GlobalHydra.instance().clear()


def _unreadable(where: str, got: str) -> InputError:
    return InputError(
        Problem("this YAML cannot be read", where=where, got=got, allowed="keys and values, UTF-8")
    )
