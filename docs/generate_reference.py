"""The reference pages that are written by the code itself: the command line, protocols, device profiles.

MkDocs runs this as a hook (`mkdocs.yml`): the pages exist in the built site only. What stands in them are the
descriptions of the models' fields and the commands' own help, which are also what error messages say.

`python docs/generate_reference.py FOLDER` writes the pages into a folder, to be read there.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

Schema = Mapping[str, Any]
NOTICE = "Written by the code of neurofb {version}. {more}"


def pages() -> dict[str, str]:
    """Give the generated pages by their path below docs/."""
    from neurofb.devices.profile import DeviceProfile
    from neurofb.protocol.design import Protocol

    return {
        "reference/cli.md": command_page(),
        "reference/protocol.md": table_page(
            "The protocol file",
            Protocol.model_json_schema(),
            "One experiment, as TOML. `neurofb check FILE` reads it and says all that is wrong in it, by line. How to "
            "write one: [Write a protocol](../howto/protocol.md).",
        ),
        "reference/device-profile.md": table_page(
            "The device profile",
            DeviceProfile.model_json_schema(),
            "One headset or amplifier, as TOML. `neurofb devices FILE` explains what was understood. How to write one: "
            "[Your headset](../howto/headset.md).",
        ),
    }


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages to those of MkDocs."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


# -- the command line ------------------------------------------------------------------------------------------------


def command_page() -> str:
    """Give the page of the command line."""
    from neurofb.cli import commands

    parts = [
        "# The command line",
        _notice("Every command says the same with `--help`."),
        "Exit codes: 0 all is well; 2 wrong input, or not equal in `rerun --check`; 3 a stream, a device or something "
        "the session needs is missing or lost; 4 a safety stop; 130 interrupted.",
    ]
    for name, command in walk(commands, "neurofb"):
        parts += [f"## {name}", *_command(name, command)]
    return "\n\n".join(parts) + "\n"


def walk(group: click.Group, above: str) -> Iterator[tuple[str, click.Command]]:
    """Give every command with its whole name."""
    context = click.Context(group)
    for word in group.list_commands(context):
        command = group.get_command(context, word)
        assert command is not None
        yield f"{above} {word}", command
        if isinstance(command, click.Group):
            yield from walk(command, f"{above} {word}")


def _command(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=name)
    yield "```text\n" + " ".join([name, *command.collect_usage_pieces(context)]) + "\n```"
    yield inspect.cleandoc(command.help or "")
    rows = [_option(option, context) for option in command.params if isinstance(option, click.Option)]
    if rows:
        yield _table(("option", "what it does", "if left out"), rows)


def _option(option: click.Option, context: click.Context) -> tuple[str, str, str]:
    shown = option.get_help_record(context)
    words, text = shown if shown else (option.name or "", "")
    default = re.search(r"\[.*?default: ([^;\]]*)", text)
    required = "needed" if option.required else ""
    what = re.sub(r"\s*\[(?:default|required|\d)[^\[]*\]$", "", text).strip()
    return f"`{words}`", what, (f"`{default[1].strip()}`" if default else required)


# -- TOML files ------------------------------------------------------------------------------------------------------


def table_page(title: str, schema: Schema, intro: str) -> str:
    """Give the page of a file: its keys, then the tables in it, each under its own name."""
    parts = [f"# {title}", _notice("Keys that do not stand here are refused."), intro, "## The file itself"]
    parts.append(_keys(schema))
    for name, table in sorted(schema.get("$defs", {}).items()):
        parts += [f"## {name}", *_about(table), _keys(table)]
    return "\n\n".join(parts) + "\n"


def _about(table: Schema) -> list[str]:
    text = str(table.get("description", "")).split("\n\nParameters\n")[0].split("\n\nAttributes\n")[0]
    return [text.replace("``", "`")] if text else []


def _keys(table: Schema) -> str:
    needed = table.get("required", [])
    rows = []
    for key, field in table.get("properties", {}).items():
        default = "needed" if key in needed else _default(field)
        what = str(field.get("description", "")) or "which of the tables this is"
        rows.append((f"`{key}`", _kind(field), what, default))
    return _table(("key", "value", "what it is", "if left out"), rows)


def _default(field: Schema) -> str:
    value = field.get("default")
    if value is None or value in ("", [], {}):
        return "–"
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _kind(field: Schema) -> str:
    """Give in words what a value may be."""
    if "$ref" in field:
        name = str(field["$ref"]).rsplit("/", 1)[1]
        return f"table [{name}](#{name.lower()})"
    for key in ("anyOf", "oneOf", "allOf"):
        if key in field:
            kinds = [_kind(each) for each in field[key] if each.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    if "const" in field or "enum" in field:
        return " or ".join(f"`{json.dumps(each)}`" for each in field.get("enum", [field.get("const")]))
    if field.get("type") == "array":
        return _list(field)
    if field.get("type") == "object":
        inside = field.get("additionalProperties")
        return f"names, each with {_kind(inside)}" if isinstance(inside, dict) else "table"
    words = {"string": "text", "number": "number", "integer": "whole number", "boolean": "true or false"}
    return words.get(str(field.get("type")), "value") + _bounds(field)


def _list(field: Schema) -> str:
    if "prefixItems" in field:
        kinds = list(dict.fromkeys(_kind(each) for each in field["prefixItems"]))
        return f"list of {len(field['prefixItems'])}: {', '.join(kinds)}"
    return f"list of {_kind(field.get('items', {}))}"


def _bounds(field: Schema) -> str:
    signs = (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
    found = [f"{sign} {field[key]:g}" for key, sign in signs if key in field]
    return f", {', '.join(found)}" if found else ""


# -- both ------------------------------------------------------------------------------------------------------------


def _notice(more: str) -> str:
    from neurofb import __version__

    return f"*{NOTICE.format(version=__version__, more=more)}*"


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [" | ".join(header), " | ".join("---" for _ in header)]
    lines += [" | ".join(_cell(cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;") or " "


if __name__ == "__main__":
    for path, text in pages().items():
        place = Path(sys.argv[1]) / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, "utf-8")
