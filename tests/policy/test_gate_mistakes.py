"""What is said of gates, units and sessions that are wrong."""

from pathlib import Path

import pytest

from tests.policy.policy_files import HEAD, complaints


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(
            HEAD + "gates:\n  - {metric: latncy, margin: 10 %}",
            "line 4: gates[0].metric: found 'latncy', expected 'errors', 'unusable', 'truncated', "
            "'refused', 'malformed_output', 'other_language', 'repetitive', 'latency', 'cost', "
            "'quality', 'hallucination', 'satisfaction', 'agreement' or 'preference'; did you mean 'latency'?",
            id="misspelt value",
        ),
        pytest.param(
            HEAD + "metrics: [{name: solved, kind: share, better: up}]\ngates:\n  - {metric: sold, margin: 1 point}",
            "line 5: gates[0].metric: found 'sold', expected 'errors', 'unusable', 'truncated', "
            "'refused', 'malformed_output', 'other_language', 'repetitive', 'latency', 'cost', "
            "'quality', 'hallucination', 'satisfaction', 'agreement' or 'preference'",
            id="a metric that nobody declares",
        ),
        pytest.param(
            HEAD + "metrics: [{name: errors, kind: share, better: down}]",
            "line 3: metrics[0].name: errors means something already; choose another name",
            id="a declared metric of a name that is taken",
        ),
        pytest.param(
            HEAD + "metrics:\n  - {name: revenue, kind: amount, better: up}",
            "line 4: metrics[0].better: an amount of which more is better can't be judged; declare a share, such as "
            "whether there was any, or what is lost",
            id="an amount of which more is better",
        ),
        pytest.param(
            HEAD + "metrics:\n  - {name: a, kind: share, better: up}\n  - {name: a, kind: score, better: up}",
            "line 3: metrics: a name is declared twice; keep one",
            id="a metric that is declared twice",
        ),
        pytest.param(
            HEAD
            + "metrics: [{name: solved, kind: share, better: up}]\n"
            + "gates:\n  - {metric: errors, margin: 1 point}\n  - {metric: solved, margin: 10 %}",
            "line 6: gates[1].margin: the margin of solved is written like '2 points', not '10 %'",
            id="a margin that doesn't fit the declared kind",
        ),
        pytest.param(
            HEAD + "metrics: [{name: lost, kind: share, better: down}]\nab: {metrics: [lost]}",
            "line 4: ab.metrics: expected quality, satisfaction, or metrics of the policy's own of which more is "
            "better, each once",
            id="a test that something bad would decide",
        ),
        pytest.param(
            HEAD + "gates: [{metric: errors, margin: 0 points}]",
            "line 3: gates[0].margin: expected a margin above zero such as '2 points' or '10 %', not '0 points'",
            id="no margin at all",
        ),
        pytest.param(
            HEAD + "gates: [{metric: errors, margin: 101 points}]",
            "line 3: gates[0].margin: expected at most '100 points', not '101 points': a rate or score can't lose more",
            id="more points than there are",
        ),
        pytest.param(
            HEAD + "gates:\n  - metric: cost\n    margin: 2 points",
            "line 5: gates[0].margin: the margin of cost is written like '10 %', not '2 points'",
            id="a margin of the wrong kind",
        ),
        pytest.param(
            HEAD + "gates:\n  - metric: quality\n    margin: 2 points\n    direction: lower_is_better",
            "line 6: gates[0].direction: quality is higher_is_better; leave direction out or correct it",
            id="a direction that isn't the metric's",
        ),
        pytest.param(
            HEAD + "gates:\n  - {metric: errors, margin: 1 point}\n"
            "  - {metric: agreement, margin: 1 point, role: guard}",
            "line 5: gates[1].role: agreement compares texts of live requests, which are not kept: set texts.keep; or "
            "make it muted",
            id="a gate on texts that aren't kept",
        ),
        pytest.param(
            HEAD + "texts: {keep: true}\nshadow: {floor_percent: 0}\ngates:\n  - {metric: errors, margin: 1 point}\n"
            "  - {metric: agreement, margin: 1 point, role: guard}",
            "line 7: gates[1].role: agreement is compared with stable's own: set shadow.floor_percent above 0; or make "
            "it muted",
            id="a gate on agreement without a floor",
        ),
        pytest.param(
            HEAD + "texts: {keep: true}\nshadow: null\ngates:\n  - {metric: errors, margin: 1 point}\n"
            "  - {metric: agreement, margin: 1 point, role: guard}",
            "line 7: gates[1].role: agreement is judged in the shadow stage, which is skipped: put 'shadow' back; or "
            "make it muted",
            id="a gate on copies that nobody makes",
        ),
        pytest.param(
            HEAD + "gates:\n  - {metric: errors, margin: 1 point}\n  - {metric: preference, margin: 5 points}",
            "line 5: gates[1].metric: preference needs judges: name their models under eval.judge.models",
            id="preference without judges",
        ),
        pytest.param(
            HEAD + "gates: []", "line 3: gates: found an empty list, expected at least one", id="an empty gate list"
        ),
        pytest.param(
            HEAD + "gates: [{metric: errors, margin: 1 point, role: guard}]",
            "line 3: gates: none is required, so nothing could ever pass; give one the role 'required'",
            id="nothing that could pass",
        ),
        pytest.param(
            HEAD + "gates: [{metric: satisfaction, margin: 4 points}]",
            "line 3: gates: the last stage and the shadow compare copies, which nobody rates; require errors, latency "
            "or cost too",
            id="nothing that could pass on copies",
        ),
        pytest.param(
            HEAD + "gates: [{metric: errors, margin: 1 point}, {metric: errors, margin: 2 points}]",
            "line 3: gates: a metric has two gates; keep one",
            id="two gates of one metric",
        ),
        pytest.param(
            HEAD + "gates: [{metric: errors, margin: 1 point, adjust_for: [own_past]}]",
            "line 3: gates[0].adjust_for: latency and cost can be adjusted, errors can't; leave it out",
            id="a rate beside its own past",
        ),
        pytest.param(
            HEAD + "gates: [{metric: latency, margin: 10 %, predicted_by: quality}]",
            "line 3: gates[0].predicted_by: only satisfaction, or a score or share that the policy declares, can be "
            "predicted; latency can't, so leave it out",
            id="a prediction of what is measured",
        ),
        pytest.param(
            HEAD + "gates: [{metric: quality, margin: 1 point, predicted_by: hallucination}]",
            "line 3: gates[0].predicted_by: only satisfaction, or a score or share that the policy declares, can be "
            "predicted; quality can't, so leave it out",
            id="a prediction of what judges say",
        ),
        pytest.param(
            HEAD + "metrics: [{name: liked, kind: share, better: up}]\n"
            "gates: [{metric: liked, margin: 4 points, predicted_by: liked}]",
            "line 4: gates[0].predicted_by: liked can't predict itself; name what judges score, such as quality",
            id="a metric that predicts itself",
        ),
        pytest.param(
            HEAD + "gates: [{metric: satisfaction, margin: 4 points, predicted_by: errors}]",
            "line 3: gates[0].predicted_by: errors isn't scored by judges; name quality, hallucination, or a score or "
            "share that the policy declares",
            id="a predictor that nobody scores",
        ),
        pytest.param(
            HEAD + "gates: [{metric: satisfaction, margin: 4 points, per: session, predicted_by: quality}]",
            "line 3: gates[0].per: scores are of single answers; leave it out, or leave predicted_by out",
            id="a prediction of sessions",
        ),
        pytest.param(
            HEAD + "metrics: [{name: minutes, kind: duration, better: down, drawn: true}]",
            "line 3: metrics[0].drawn: people label single answers, as a share or a score; correct kind and unit",
            id="labels of a duration",
        ),
        pytest.param(
            HEAD + "gates: [{metric: cost, margin: 10 %, adjust_for: [tokens]}]",
            "line 3: gates[0].adjust_for[0]: found 'tokens', expected 'own_past', 'request_size' or 'streamed'",
            id="something else to adjust for",
        ),
        pytest.param(
            HEAD + "unit: {redraw: 1 h}\ngates: [{metric: cost, margin: 10 %, adjust_for: [own_past]}]",
            "line 4: gates[0].adjust_for: units that are drawn afresh or are conversations have no past; make "
            "unit.source name users and leave unit.redraw out, or leave own_past out",
            id="the past of what begins afresh",
        ),
        pytest.param(
            HEAD + "gates: [{metric: errors, margin: 1 point, per: visit}]",
            "line 3: gates[0].per: found 'visit', expected 'request', 'session' or 'user'",
            id="per something else",
        ),
        pytest.param(
            HEAD
            + "gates:\n  - {metric: errors, margin: 1 point}\n  - {metric: agreement, margin: 9 points, per: session}",
            "line 5: gates[1].per: agreement compares two answers to one request; leave it out or write request",
            id="sessions of copies",
        ),
        pytest.param(
            HEAD + "unit: {redraw: 1 d}\ngates: [{metric: errors, margin: 1 point, per: user}]",
            "line 4: gates[0].per: units that are drawn afresh or are conversations aren't users; use session, or make "
            "unit.source name users and leave unit.redraw out",
            id="users whose arms are drawn afresh",
        ),
        pytest.param(
            HEAD + "unit: {source: conversation}\ngates: [{metric: errors, margin: 1 point, per: user}]",
            "line 4: gates[0].per: units that are drawn afresh or are conversations aren't users; use session, or make "
            "unit.source name users and leave unit.redraw out",
            id="users of conversations",
        ),
        pytest.param(
            HEAD + "unit: {redraw: 5 min}\ngates: [{metric: errors, margin: 1 point, per: session}]",
            "line 4: gates[0].per: arms are drawn afresh every 5 min, which would cut sessions that end after a pause "
            "of 30 min; make unit.redraw longer or session.timeout shorter",
            id="sessions that are cut",
        ),
        pytest.param(
            HEAD + "session: {timeout: 1 h, longest: 30 min}",
            "line 3: session.longest: a session can't end before timeout, which is 1 h; expected more",
            id="a session that is over before it can be",
        ),
        pytest.param(
            HEAD + "unit: {pin: thread}",
            "line 3: unit.pin: units aren't conversations; set the source to metadata.session_id, conversation or the "
            "header of a session, or set redraw to conversation",
            id="threads where units are users",
        ),
        pytest.param(
            HEAD + "unit: {pin: user, source: conversation}",
            "line 3: unit.pin: found 'user', expected 'thread'",
            id="a pin that there is not",
        ),
        pytest.param(
            HEAD + "unit: {pin: thread, source: conversation, pin_limit: 0 s}",
            "line 3: unit.pin_limit: found '0 s', expected greater than or equal to 1",
            id="a pin for no time",
        ),
        pytest.param(
            HEAD + "unit: {source: metadata.session_id}\ngates: [{metric: errors, margin: 1 point, per: user}]",
            "line 4: gates[0].per: units that are drawn afresh or are conversations aren't users; use session, or make "
            "unit.source name users and leave unit.redraw out",
            id="sessions where users are counted",
        ),
        pytest.param(
            HEAD + "unit: {redraw: often}",
            "line 3: unit.redraw: expected a duration such as '90 s', '15 min', '2 h' or '7 d', or 'conversation', not "
            "'often'",
            id="an epoch in words",
        ),
        pytest.param(
            HEAD + "unit: {redraw: 5 s}",
            "line 3: unit.redraw: expected at least '1 min', so that a user's requests can be on one side, not '5 s'",
            id="an epoch of a moment",
        ),
        pytest.param(
            HEAD + "unit: {source: conversation, redraw: conversation}",
            "line 3: unit.redraw: each conversation is already a unit with its own arm; leave redraw out",
            id="conversations of conversations",
        ),
    ],
)
def test_a_mistake_about_gates_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    """One mistake is one message: its line, its key, what was found and what was expected."""
    assert complaints(tmp_path, text) == [complaint]
