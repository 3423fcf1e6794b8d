"""Templates of prompts: what they may say is said as ever, and what would take too much is refused before it does."""

import time
from typing import Any

import pytest
from jinja2 import TemplateSyntaxError

from softlaunch.core.prompt_templates import QUICK_WORK, Budget, TooHeavyError, compiled, rendered, variables_of

_VARIABLES: dict[str, Any] = {
    "name": "Ann",
    "docs": [{"title": "a", "text": " x "}, {"title": "b", "text": "y"}],
    "big": list(range(100_000)),
    "deep": [[["a"] * 10] * 10] * 10,
}
_TEN = "a ~ a ~ a ~ a ~ a ~ a ~ a ~ a ~ a ~ a"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        pytest.param("Hello {{ name }}.", "Hello Ann.", id="a variable"),
        pytest.param(
            "{% for d in docs %}{{ loop.index }}/{{ loop.length }} {{ d.title|upper }}{{ ', ' if not loop.last }}"
            "{% else %}none{% endfor %}",
            "1/2 A, 2/2 B",
            id="a loop that knows its length",
        ),
        pytest.param("{% for k, v in {'a': 1}.items() %}{{ k }}={{ v }}{% endfor %}", "a=1", id="a loop over pairs"),
        pytest.param("{% for c in 'ab' if c != 'a' %}{{ c }}{% endfor %}", "b", id="a loop with a condition"),
        pytest.param(
            "{% for x in [1, [2, 3]] recursive %}{{ loop(x) if x is iterable else x }}{% endfor %}",
            "123",
            id="a loop that calls itself",
        ),
        pytest.param("{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m('a') }}{{ m(x=1) }}", "[a][1]", id="a macro"),
        pytest.param(
            "{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}in {{ name }}{% endcall %}",
            "<in Ann>",
            id="a macro that is called around a text",
        ),
        pytest.param("{% set x %}a{{ name }}{% endset %}{{ x }}", "aAnn", id="a text that is set"),
        pytest.param("{% set n = namespace(x=1) %}{% set n.x = n.x + 1 %}{{ n.x }}", "2", id="a namespace"),
        pytest.param("{% filter upper %}hi {{ name }}{% endfilter %}", "HI ANN", id="a filter around a text"),
        pytest.param("{% block b scoped %}x{{ name }}{% endblock %}{{ self.b() }}", "xAnnxAnn", id="a block"),
        pytest.param("{% with a = 1 %}{{ a + 1 }}{% endwith %}", "2", id="a scope"),
        pytest.param(
            "{{ 7 // 2 }} {{ 7 % 4 }} {{ 2 ** 10 }} {{ 1.5 * 2 }} {{ 'ab' * 2 }}", "3 3 1024 3.0 abab", id="sums"
        ),
        pytest.param("{{ 'x%sy' % 1 }} {{ '%(a)s' % {'a': 2} }} {{ '%.2f'|format(1) }}", "x1y 2 1.00", id="percent"),
        pytest.param("{{ '{} {a:>3}'.format(1, a=2) }} {{ '{b}'.format_map({'b': 3}) }}", "1   2 3", id="formats"),
        pytest.param(
            "{{ ','.join(docs|map(attribute='title')) }} {{ 'a-b'.split('-')|join('+') }}", "a,b a+b", id="joins"
        ),
        pytest.param("{{ [1, 2, 3]|select('gt', 1)|map('string')|join(' ') }}", "2 3", id="filters one by one"),
        pytest.param(
            "{{ 'abc'.replace('b', 'xx') }} {{ 'a'.center(5)|length }} {{ 'abc'[1:] }}", "axxc 5 bc", id="texts"
        ),
        pytest.param(
            "{{ docs|tojson|length }} {{ [3, 1]|sort }} {{ [[1], [2]]|sum(start=[]) }}", "60 [1, 3] [1, 2]", id="lists"
        ),
        pytest.param(
            "{{ 'a\nb'|indent(2) }} {{ 'a b'|wordwrap(1) }} {{ '<b>x</b>'|striptags }}", "a\n  b a\nb x", id="layout"
        ),
        pytest.param(
            "{{ 'a' ~ 1 ~ none }} {{ 'y' if 'n' in name else 'n' }} {{ x|default('z') }}", "a1None y z", id="words"
        ),
        pytest.param("{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.current }}", "aba", id="a cycler"),
        pytest.param("{{ range(3)|list }} {{ dict(a=1) }}", "[0, 1, 2] {'a': 1}", id="ranges"),
        pytest.param(
            "{{ name.find('n', 20000) }} {{ name|truncate(50000) }} {{ 'x'|int(70000) }}", "-1 Ann 70000", id="numbers"
        ),
    ],
)
def test_what_prompts_say_is_said(template: str, text: str) -> None:
    """Within a budget everything means what it means in Jinja."""
    assert rendered(template, _VARIABLES, Budget()) == text


@pytest.mark.parametrize(
    "template",
    [
        pytest.param("{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}", id="loops"),
        pytest.param(
            "{% for i in range(99999) %}{% for j in big %}{% endfor %}{% endfor %}", id="loops without a text"
        ),
        pytest.param("{% for i in [1] recursive %}{{ loop(big) }}{{ loop(big) }}{% endfor %}", id="a loop of loops"),
        pytest.param("{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}", id="an endless macro"),
        pytest.param(
            "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(40) }}", id="a tree"
        ),
        pytest.param("{{ 'x' * 10 ** 9 }}", id="a long text"),
        pytest.param("{{ [1] * 10 ** 9 }}", id="a long list"),
        pytest.param("{{ 9 ** (9 ** 9) }}", id="a power of powers"),
        pytest.param("{{ 7 ** (10 ** 7) }}", id="a large number"),
        pytest.param("{{ '%1000000000d' % 1 }}", id="a wide number"),
        pytest.param("{{ '%*d' % (10 ** 9, 1) }}", id="a width out of a value"),
        pytest.param("{{ '%.1000000000f'|format(1) }}", id="a long fraction"),
        pytest.param("{{ '{:1000000000}'.format(1) }}", id="a wide format"),
        pytest.param("{{ '{:{w}}'.format(1, w=10 ** 9) }}", id="a format's width out of a value"),
        pytest.param("{{ '{:1000000000}'.format_map({}) }}", id="a wide format of a mapping"),
        pytest.param("{{ ('{:1000000000}'|attr('format'))(1) }}", id="a format as attribute"),
        pytest.param("{{ 'x'|center(10 ** 9) }}", id="a wide filter"),
        pytest.param("{{ 'x'.ljust(10 ** 9) }}", id="a wide method"),
        pytest.param("{{ ('\t' * 100000).expandtabs(10000) }}", id="tabs"),
        pytest.param("{{ ['x']|map('center', 10 ** 9)|list }}", id="a wide filter of each"),
        pytest.param("{{ (1).to_bytes(10 ** 9) }}", id="bytes of a number"),
        pytest.param("{{ 'x'|indent(10 ** 9, first=true) }}", id="a wide indent"),
        pytest.param("{{ ('x\n' * 100000)|indent(9999) }}", id="an indent of many lines"),
        pytest.param("{{ [1]|batch(10 ** 9, 'x')|list }}", id="a long batch"),
        pytest.param("{{ [1]|slice(10 ** 9)|list }}", id="many slices"),
        pytest.param("{{ big|join('x' * 1000) }}", id="a long separator"),
        pytest.param("{{ ('x' * 1000).join(big|map('string')) }}", id="a long separator's method"),
        pytest.param("{{ ('a' * 100000).replace('a', 'b' * 100000) }}", id="a replacement"),
        pytest.param("{{ ('a' * 100000)|replace('', 'b' * 1000) }}", id="a replacement between all letters"),
        pytest.param("{{ ('a' * 100000).translate({97: 'b' * 100000}) }}", id="a translation"),
        pytest.param("{{ ('a ' * 10000)|wordwrap(1, wrapstring='b' * 100000) }}", id="a wrap"),
        pytest.param("{{ ('<!--' * 100000)|striptags }}", id="tags"),
        pytest.param("{{ ([big] * 2000)|sum(start=[]) }}", id="a sum of lists"),
        pytest.param("{{ deep|tojson(indent=9999) }}", id="wide JSON"),
        pytest.param("{% set a = 'x' * 1000 %}" + f"{{% set a = {_TEN} %}}" * 8 + "{{ a }}", id="a text of texts"),
        pytest.param(
            "{% set a = 'x' %}" + "{% set a = [a, a, a, a, a, a, a, a, a, a] %}" * 9 + "{{ a }}", id="a list of lists"
        ),
        pytest.param(
            "{% set a = 'x' %}" + "{% set a = namespace(a=a, b=a, c=a) %}" * 30 + "{{ a }}", id="a name of names"
        ),
        pytest.param("{% set a = 'x' %}" + "{% set a = {1: a, 2: a}.values() %}" * 40 + "{{ a }}", id="views of views"),
        pytest.param(
            "{% set a = 'x' %}" + "{% set a = [a, a, a, a, a, a] %}" * 12 + "{{ a|replace('x', 'y')|length }}",
            id="a list as text",
        ),
        pytest.param(
            "{% set n = namespace(x='x') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}", id="doubling"
        ),
        pytest.param(
            "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
            id="doubling lists",
        ),
        pytest.param(
            "{% set n = namespace(x=7) %}{% for i in range(60) %}{% set n.x = n.x * n.x %}{% endfor %}", id="squaring"
        ),
        pytest.param(
            "{% macro m() %}" + "y" * 100_000 + "{% endmacro %}{% for i in range(9999) %}{% set z = m() %}{% endfor %}",
            id="macros of texts",
        ),
        pytest.param("{% for i in range(9999) %}" + "y" * 100_000 + "{% endfor %}", id="a text again and again"),
        pytest.param("{% for i in range(99999) %}{% if i in big %}{% endif %}{% endfor %}", id="searching"),
        pytest.param("{% for i in range(99999) %}{% set x = big[1:] %}{% endfor %}", id="slicing"),
        pytest.param("{{ big|reject('in', big)|list }}", id="searching for each"),
        pytest.param("{{ big|unique|map('string')|map('center', 9999)|list }}", id="a pipeline"),
    ],
)
def test_what_would_take_too_much_is_refused(template: str) -> None:
    """Whatever it is that blows up, it ends soon."""
    began = time.perf_counter()
    with pytest.raises(TooHeavyError):
        rendered(template, _VARIABLES, Budget())
    assert time.perf_counter() - began < 10


@pytest.mark.parametrize(
    ("template", "said"),
    [
        pytest.param("a\n{{" + "(" * 3000 + "1" + ")" * 3000 + "}}", "nested more than 16 deep", id="3,000 brackets"),
        pytest.param("{{ " + "not " * 5000 + "1 }}", "nested more than", id="5,000 signs"),
        pytest.param("{{ " + "1 + " * 500 + "1 }}", "nested more than", id="500 sums"),
        pytest.param("{{ " + "-" * 5000 + "1 }}", "nested more than", id="5,000 minus signs"),
        pytest.param("{{ a" + "|upper" * 500 + " }}", "nested more than", id="500 filters"),
        pytest.param("{{ " + "1 if 1 else " * 300 + "1 }}", "nested more than", id="300 conditions"),
        pytest.param("{% if a %}" * 300 + "{% endif %}" * 300, "nested more than", id="300 blocks"),
        pytest.param("{% for a in b %}" * 25 + "{% endfor %}" * 25, "nested more than", id="25 loops"),
        pytest.param("{{ " + "9" * 6000 + " }}", "can't be read: Exceeds the limit", id="6,000 digits"),
        pytest.param("{{ a }}\n" * 20_000, "more than 10,000 words", id="much code"),
        pytest.param("{{ a|nope }}", "No filter named 'nope'", id="an unknown filter"),
        pytest.param("{% autoescape 'x' * 10 ** 9 %}{% endautoescape %}{{", "unexpected", id="no end"),
    ],
)
def test_what_cannot_be_compiled_is_a_mistake_in_the_template(template: str, said: str) -> None:
    """It is no fault of the program, wherever it is found."""
    began = time.perf_counter()
    with pytest.raises(TemplateSyntaxError, match=said):
        compiled(template)
    assert time.perf_counter() - began < 10


def test_nothing_is_worked_out_while_compiling() -> None:
    """A constant that is folded would be made before anything is paid for."""
    began = time.perf_counter()
    for constant in ("'x' * 10 ** 10", "9 ** (9 ** 9)", "'x'|center(10 ** 10)", "'{:9999999999}'.format(1)"):
        compiled("{% if false %}{{ " + constant + " }}{% endif %}{% set a = " + constant + " %}")
        compiled("{% autoescape " + constant + " %}{% endautoescape %}")
    assert time.perf_counter() - began < 5


def test_variables_are_what_a_template_takes_from_outside() -> None:
    """What it sets itself, and what Jinja brings, is none."""
    assert variables_of("{% set a = 1 %}{{ a }} {{ b }}{% for c in range(d) %}{{ c ~ e }}{% endfor %}") == {
        "b",
        "d",
        "e",
    }


def test_a_budget_is_spent_by_all_messages_of_a_prompt() -> None:
    """What the first one took, the second one lacks."""
    budget, template = Budget(QUICK_WORK), "{% for i in range(1200) %}{% endfor %}"
    rendered(template, {}, budget)
    with pytest.raises(TooHeavyError, match="more than 2,000 steps"):
        rendered(template, {}, budget)
