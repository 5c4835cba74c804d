"""Writes the parts of the client that follow from the server's OpenAPI document: its tasks and their results.

`make client` runs it. A test fails while the files differ from what it writes.
"""

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "manifold_client"
TASK_TAGS = {"autoencoders", "transformers"}
SERVICE_RESULTS = ("ModelList", "ModelCard", "Info")
"""Results of the routes about the server itself, whose methods are written by hand."""
HEADER = '"""{doc} Written by `client/generate.py` from the OpenAPI document."""\n\n'
WIDTH = 120
Schema = dict[str, Any]


class Generator:
    """Turns one OpenAPI document into Python source."""

    def __init__(self, document: Schema) -> None:
        self._schemas: dict[str, Schema] = document["components"]["schemas"]
        paths = document["paths"].items()
        posts = ((path, item["post"]) for path, item in paths if "post" in item)
        self._tasks = [(path, post) for path, post in posts if TASK_TAGS & set(post.get("tags", ()))]
        self._results: dict[str, str] = {}
        self._objects: dict[str, str] = {}

    def files(self) -> dict[str, str]:
        """Return the source of each file by its name."""
        methods = [self._methods(path, post) for path, post in self._tasks]
        for name in SERVICE_RESULTS:
            self._add_result(name)
        doc = "The results of the tasks."
        results = HEADER.format(doc=doc) + "from dataclasses import dataclass\nfrom typing import Any, Literal\n\n"
        results += "from manifold_client.answer import Numbers\n\n\n" + "\n\n".join(self._results.values())
        return {
            "results.py": results,
            "tasks.py": self._tasks_file("".join(methods), asynchronous=False),
            "async_tasks.py": self._tasks_file("".join(methods), asynchronous=True),
        }

    def _tasks_file(self, methods: str, *, asynchronous: bool) -> str:
        iterator = "AsyncIterator" if asynchronous else "Iterator"
        used = sorted(name for name in self._results if f"{name}]" in methods or f"{name}," in methods)
        source = HEADER.format(doc="The methods of the tasks.")
        source += f"from abc import abstractmethod\nfrom collections.abc import {iterator}, Sequence\n"
        source += "from typing import Any, Literal, TypedDict, TypeVar\n\n"
        source += "from manifold_client.answer import Answer\nfrom manifold_client.calls import Call, task_call\n"
        source += f"from manifold_client.results import {', '.join(used)}\n\n"
        source += 'OutputT = TypeVar("OutputT")\n\n\n' + "".join(f"{each}\n\n" for each in self._objects.values())
        name = "AsyncTasks" if asynchronous else "Tasks"
        source += f'class {name}:\n    """A method for each task of the server."""\n'
        word = "async def" if asynchronous else "def"
        abstract = "\n    @abstractmethod\n    "
        source += f"{abstract}{word} _run(self, kind: type[OutputT], call: Call) -> Answer[OutputT]: ...\n"
        source += f"{abstract}def _stream(self, kind: type[OutputT], call: Call) -> {iterator}[OutputT]: ...\n"
        return source + (_awaited(methods) if asynchronous else methods)

    def _methods(self, path: str, post: Schema) -> str:
        task = path.strip("/").replace("-", "_")
        taken, given = post["requestBody"]["content"], post["responses"]["200"]["content"]
        bodies = [self._resolve(body) for body in _choices(taken["application/json"]["schema"])]
        answers = [self._resolve(answer) for answer in _choices(given["application/json"]["schema"])]
        output = self._add_merged([answer["properties"]["outputs"]["items"] for answer in answers])
        parameters = self._parameters(bodies)
        takes_arrays = "application/x-npy" in taken
        has_inputs = any("inputs" in body["properties"] for body in bodies)
        texts = {"summary": post["summary"], "description": post["description"]}
        events = given.get("text/event-stream")
        parameters = {name: each for name, each in parameters.items() if name != "stream"}
        method = _method(task, texts, parameters, output, takes_arrays=takes_arrays, has_inputs=has_inputs)
        if events:
            event = _name_in(_choices(events["schema"])[0])
            self._add_result(event)
            method += _method(task, texts, parameters, event, takes_arrays=False, has_inputs=has_inputs, streams=True)
        return method

    def _parameters(self, bodies: list[Schema]) -> dict[str, tuple[str, str]]:
        """Return the type and the description of each parameter, over all bodies of a task."""
        found: dict[str, tuple[str, str]] = {}
        for body in bodies:
            if "parameters" not in body["properties"]:
                continue
            fields = self._resolve(body["properties"]["parameters"])["properties"]
            for name, field in fields.items():
                kind = self._parameter_type(field)
                description = _described(field)
                if name in found and found[name][1] != description:
                    continue  # that of the first body
                found[name] = kind, description
        return found

    def _parameter_type(self, schema: Schema) -> str:
        choices = [self._parameter_type(each) for each in schema.get("anyOf", ()) if each.get("type") != "null"]
        if choices:
            return " | ".join(dict.fromkeys(choices))
        if "$ref" in schema:
            name = _name_in(schema)
            found = self._schemas[name]
            if "properties" in found:
                self._add_object(name, found)
                return name
            return self._parameter_type(found)
        if "enum" in schema or "const" in schema:
            return _literal(schema)
        if schema.get("type") == "array":
            return f"Sequence[{self._parameter_type(schema.get('items', {}))}]"
        return _PLAIN.get(schema.get("type", ""), "Any")

    def _add_object(self, name: str, schema: Schema) -> None:
        lines = [f"class {name}(TypedDict, total=False):", f'    """{schema["description"]}"""', ""]
        lines += [f"    {field}: {self._parameter_type(each)}" for field, each in schema["properties"].items()]
        self._objects[name] = "\n".join(lines) + "\n"

    def _add_merged(self, outputs: list[Schema]) -> str:
        """Add the class of a task's output, with the fields of all kinds of models that serve it; return its name."""
        names = [_name_in(each) for each in outputs]
        fields: dict[str, tuple[str, bool, str]] = {}
        for name in dict.fromkeys(names):
            fields |= {field: each for field, each in self._fields(name).items() if field not in fields}
        required = [set(self._schemas[name].get("required", ())) for name in names]
        fields = {
            field: (kind, all(field in each for each in required), text) for field, (kind, _, text) in fields.items()
        }
        descriptions = list(dict.fromkeys(self._schemas[name]["description"] for name in names))
        self._results[names[0]] = _dataclass(names[0], " ".join(descriptions), fields)
        return names[0]

    def _add_result(self, name: str) -> None:
        if name not in self._results:
            self._results[name] = ""  # keeps its place before the classes that it refers to, and ends recursion
            schema = self._schemas[name]
            source = _dataclass(name, schema.get("description", name), self._fields(name))
            del self._results[name]
            self._results[name] = source

    def _fields(self, name: str) -> dict[str, tuple[str, bool, str]]:
        """Return the type of each field of a result, whether it is required, and its description."""
        schema = self._schemas[name]
        required = schema.get("required", ())
        return {
            field: (self._result_type(each), field in required, each.get("description", ""))
            for field, each in schema["properties"].items()
        }

    def _result_type(self, schema: Schema) -> str:
        if "anyOf" in schema:
            return " | ".join(dict.fromkeys(self._result_type(each) for each in schema["anyOf"]))
        if "$ref" in schema:
            name = _name_in(schema)
            if "properties" in self._schemas[name]:
                self._add_result(name)
                return name
            return self._result_type(self._schemas[name])
        if "enum" in schema or "const" in schema:
            return _literal(schema)
        if schema.get("type") == "array":
            return self._array_type(schema)
        if schema.get("type") == "object":
            return "dict[str, Any]"
        return _PLAIN.get(schema.get("type", ""), "Any")

    def _array_type(self, schema: Schema) -> str:
        """Return the type of a list; lists of floats, nested or not, are arrays of numbers."""
        leaf = schema
        while leaf.get("type") == "array":
            leaf = leaf.get("items", {})
        if "prefixItems" in schema or "prefixItems" in schema.get("items", {}):
            return "list[Any]"
        if not leaf or leaf.get("type") == "number":
            return "Numbers"
        return f"list[{self._result_type(schema['items'])}]"

    def _resolve(self, schema: Schema) -> Schema:
        return self._schemas[_name_in(schema)] if "$ref" in schema else schema


_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def _awaited(methods: str) -> str:
    """Return the source of methods as coroutines; streams are iterated over, and not awaited."""
    methods = methods.replace("    def ", "    async def ").replace("return self._run", "return await self._run")
    return methods.replace("    async def stream_", "    def stream_").replace("-> Iterator[", "-> AsyncIterator[")


def _name_in(reference: Schema) -> str:
    """Return the name of the schema that a reference points to."""
    name: str = reference["$ref"].rpartition("/")[2]
    return name


def _choices(schema: Schema) -> list[Schema]:
    choices: list[Schema] = schema.get("anyOf", [schema])
    return choices


def _literal(schema: Schema) -> str:
    values = schema.get("enum", [schema.get("const")])
    return f"Literal[{', '.join(json.dumps(value) for value in values)}]"


def _described(field: Schema) -> str:
    """Return the description of a parameter, with its default if the server has one that the text does not name."""
    text: str = field["description"]
    default = field.get("default")
    if default in (None, [], {}) or "if omitted" in text:
        return text
    return f"{text} The default is {json.dumps(default)}."


def _dataclass(name: str, description: str, fields: dict[str, tuple[str, bool, str]]) -> str:
    lines = ["@dataclass(frozen=True, kw_only=True)", f"class {name}:"]
    lines += _docstring(description, "Attributes", {field: text for field, (_, _, text) in fields.items()}, 4)
    lines.append("")
    for field, (kind, is_required, _) in fields.items():
        optional = kind if "None" in kind.split(" | ") or kind == "Any" else f"{kind} | None"
        lines.append(f"    {field}: {kind}" if is_required else f"    {field}: {optional} = None")
    return "\n".join(lines) + "\n"


def _method(
    task: str,
    texts: dict[str, str],
    parameters: dict[str, tuple[str, str]],
    output: str,
    *,
    takes_arrays: bool,
    has_inputs: bool,
    streams: bool = False,
) -> str:
    name, result = (f"stream_{task}", f"Iterator[{output}]") if streams else (task, f"Answer[{output}]")
    lines = [f"    def {name}(", "        self,"]
    lines += ["        inputs: Any,"] if has_inputs else []
    lines += ["        *,", "        model: str | None = None,", "        timeout: float | None = None,"]
    lines += [f"        {each}: {kind} | None = None," for each, (kind, _) in parameters.items()]
    lines += [f"    ) -> {result}:"]
    described = {"inputs": "an item, or several in a list or an array."} if has_inputs else {}
    described |= {"model": "id of the model; the server's default for the task and the inputs if None."}
    described |= {"timeout": "time in seconds for the answer; the client's if None."}
    described |= {each: text for each, (_, text) in parameters.items()}
    summary = f"{texts['summary']}, as a stream of events" if streams else texts["summary"]
    lines += _docstring(f"{summary}.\n\n{texts['description']}", "Args", described, 8)
    lines += ["        parameters: dict[str, Any] = {"]
    lines += [f'            "{each}": {each},' for each in parameters]
    lines += ['            "stream": True,'] if streams else []
    lines += ["        }", "        call = task_call("]
    lines += [f'            "{task}",', f"            {'inputs' if has_inputs else 'None'},", "            parameters,"]
    lines += ["            model=model,", "            timeout_s=timeout,", f"            takes_arrays={takes_arrays},"]
    lines += [] if has_inputs else ["            has_inputs=False,"]
    lines += ["        )", f"        return self.{'_stream' if streams else '_run'}({output}, call)"]
    return "\n" + "\n".join(lines) + "\n"


def _docstring(text: str, heading: str, entries: dict[str, str], indent: int) -> list[str]:
    first, *paragraphs = text.split("\n\n")
    lines = list(_wrapped(f'"""{first}', indent))
    for paragraph in paragraphs:
        lines += ["", *_wrapped(paragraph, indent)]
    if entries:
        lines += ["", " " * indent + f"{heading}:"]
        for name, description in entries.items():
            lines += _wrapped(f"{name}: {description}", indent + 4, hanging=4)
        return [*lines, " " * indent + '"""']
    lines[-1] += '"""'
    return lines


def _wrapped(text: str, indent: int, hanging: int = 0) -> Iterator[str]:
    space = " " * indent
    yield from textwrap.wrap(
        text, WIDTH, initial_indent=space, subsequent_indent=space + " " * hanging, break_long_words=False
    )


def generate(document: Schema) -> dict[str, str]:
    """Return the source of each generated file by its name, before it is formatted."""
    return Generator(document).files()


if __name__ == "__main__":
    for file_name, source in generate(json.load(sys.stdin)).items():
        (FOLDER / file_name).write_text(source)
