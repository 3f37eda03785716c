"""From YAML groups and overrides to plain settings, through Hydra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from ctkd_cli.errors import InputError, Problem
from ctkd_cli.settings.config_files import GROUPS, initialised, option_file, packaged_configs
from ctkd_cli.settings.literals import decoded, literal
from ctkd_cli.settings.overrides import ours, prepare, readable, readable_part, single_valued

CONFIG_NAME = "config"
SWEEP = "sweep"  # the key under which an experiment's YAML names what it runs over
NO_SETTINGS = ("hydra", SWEEP)


@dataclass(frozen=True)
class Composed:
    """Settings as plain data. choices: the option chosen in each group."""

    settings: dict[str, Any]
    choices: dict[str, str]
    overrides: tuple[str, ...]


def compose(overrides: Sequence[str]) -> Composed:
    """Compose one job's settings. Raises InputError, all problems at once."""
    composed, problems = attempt(overrides)
    if problems:
        raise InputError(*problems)
    return composed


def attempt(overrides: Sequence[str]) -> tuple[Composed, list[Problem]]:
    """Compose what can be read, with the problems of the rest, so that the typed settings can add
    theirs. Raises InputError when nothing can be composed."""
    single, several = single_valued(overrides)
    prepared, unreadable = readable_part(single)
    problems = [*several, *unreadable]
    with initialised():
        try:
            config = hydra_compose(CONFIG_NAME, overrides=prepared, return_hydra_config=True)
            choices = {
                group: choice
                for group, choice in config.hydra.runtime.choices.items()
                if group in GROUPS and choice is not None
            }
            ours = OmegaConf.masked_copy(config, [str(k) for k in config if k not in NO_SETTINGS])
            settings = OmegaConf.to_container(ours, resolve=True)
        except (HydraException, OmegaConfBaseException, YAMLError) as error:
            raise InputError(*problems, _cannot_compose(error)) from error
        except InputError as error:  # a YAML that is not data
            raise InputError(*problems, *error.problems) from None
    assert isinstance(settings, dict)
    composed = Composed({str(k): v for k, v in settings.items()}, choices, tuple(overrides))
    return composed, problems


def parts(overrides: Sequence[str]) -> list[tuple[str, str, dict[str, Any]]]:
    """The YAMLs that make up a composition, in order; a later one wins.

    Each with its name (`loss/kl.yaml`), the key under which it lands, and its content.
    """
    prepared = prepare(overrides)
    found = []
    with initialised():
        loader = GlobalHydra.instance().config_loader()
        assert isinstance(loader, ConfigLoaderImpl)
        defaults = loader.compute_defaults_list(CONFIG_NAME, prepared, RunMode.RUN)
        for default in defaults.defaults:
            path = default.config_path
            if path is None or path.startswith("hydra"):
                continue
            result = loader.repository.load_config(path)
            if result is None:
                continue
            content = OmegaConf.to_container(result.config, resolve=False)
            if isinstance(content, dict):
                group, _, option = path.rpartition("/")
                file = option_file(group, option) if group else None
                name = _short_name(file) if file else f"{path}.yaml"
                no_settings = ("defaults", *NO_SETTINGS)
                plain = {str(k): v for k, v in content.items() if k not in no_settings}
                found.append((name, default.package or "", plain))
    return found


def typed(overrides: Sequence[str]) -> list[tuple[str, Any]]:
    """Keys and values of the overrides that set or delete something; choices of groups are left
    out, since their YAMLs speak for them."""
    with initialised():
        parsed = ours(overrides)
    return [
        (override.key_or_group, decoded(override.value()))
        for override in parsed
        if override.key_or_group not in GROUPS or isinstance(override.value(), dict)
    ]


@dataclass(frozen=True)
class Plan:
    """How a command line becomes jobs. overrides: the user's, with the lists of values that an
    experiment's own `sweep` adds for keys that they have not set (adds: whether it did); search:
    the settings of the sweeper."""

    overrides: tuple[str, ...]
    adds: bool = False
    launcher: str = "basic"
    sweeper: str = "basic"
    search: Mapping[str, Any] = field(default_factory=dict)


def plan(overrides: Sequence[str]) -> Plan:
    """The plan of a command line. What is wrong with it is told when the settings are validated,
    or, as InputError, here when it holds ranges that only a search can take."""
    prepared, problems = readable_part(overrides)
    if problems:
        if any(_is_range(override) for override in readable(overrides)):
            raise InputError(*problems)
        return Plan(tuple(overrides))
    with initialised():
        parsed = ours(overrides)
        lists = {override.key_or_group for override in parsed if override.is_sweep_override()}
        single = [o for o in prepared if o.lstrip("+").partition("=")[0] not in lists]
        try:
            config = hydra_compose(CONFIG_NAME, overrides=single, return_hydra_config=True)
            chosen = config.hydra.runtime.choices
            search = OmegaConf.to_container(config.hydra.sweeper)
            own = OmegaConf.to_container(config[SWEEP]) if SWEEP in config else {}
        except (HydraException, OmegaConfBaseException, YAMLError) as error:
            if any(map(_is_range, parsed)):
                raise InputError(_cannot_compose(error)) from error
            return Plan(tuple(overrides))
        except InputError:  # a YAML that is not data
            return Plan(tuple(overrides))
    assert isinstance(search, dict)
    assert isinstance(own, dict)
    given = {override.key_or_group for override in parsed}
    added = [
        f"{key!s}={','.join(map(literal, each))}" for key, each in own.items() if key not in given
    ]
    return Plan(
        overrides=(*overrides, *added),
        adds=bool(added),
        launcher=str(chosen.get("hydra/launcher")),
        sweeper=str(chosen.get("hydra/sweeper")),
        search={str(key): value for key, value in search.items()},
    )


def of_hydra(overrides: Sequence[str]) -> list[str]:
    """The overrides that are Hydra's own."""
    return [o for o in overrides if o.lstrip("+~").startswith(("hydra.", "hydra/"))]


def jobs(overrides: Sequence[str]) -> list[list[str]]:
    """Every job of a sweep, as Hydra's basic sweeper would expand it."""
    with initialised():  # glob(...) looks at the groups
        parsed = ours(overrides)
        try:
            batches = BasicSweeper.split_arguments(parsed, max_batch_size=None)
        except HydraException as error:
            raise InputError(
                Problem(
                    "this cannot be swept over",
                    where="command line",
                    got=str(error),
                    remedy="hydra/sweeper=optuna, which searches ranges; or a list of values",
                )
            ) from None
    fixed = of_hydra(overrides)
    return [[*job, *fixed] for batch in batches for job in batch]


def _is_range(override: Override) -> bool:
    return override.is_sweep_override() and not override.is_discrete_sweep()


def _short_name(file: Path) -> str:
    """`loss/kl.yaml` for ours, the path for the user's."""
    ours = packaged_configs()
    return str(file.relative_to(ours) if ours in file.parents else file)


def _cannot_compose(error: Exception) -> Problem:
    reason = str(error.__cause__ or error).strip()
    return Problem("the settings cannot be composed", where="YAML or command line", got=reason)
