import inspect

import pytest

from gwsimulator.actions import ACTIONS
from gwsimulator.controls import Controls


@pytest.mark.parametrize("name", ACTIONS)
def test_every_action_fits_its_control(name: str) -> None:
    action = ACTIONS[name]
    parameters = inspect.signature(action.control).parameters
    if name == "gateway_bot":  # takes any field
        return
    named = {argument.parameter for argument in action.arguments.values()} | action.fixed.keys()
    assert named <= parameters.keys()
    assert ("shard" in parameters) == (action.shards != "none")
    assert "{who}" in action.says or action.shards == "none"
    if action.spread:
        assert parameters[action.spread].kind is inspect.Parameter.VAR_POSITIONAL
    for argument in action.arguments.values():
        default = parameters[argument.parameter].default
        optional = parameters[argument.parameter].kind is inspect.Parameter.VAR_POSITIONAL
        assert argument.required or optional or default is not inspect.Parameter.empty, argument


def test_every_control_that_a_rehearsal_can_use_has_an_action() -> None:
    controls = {
        name
        for name, one in inspect.getmembers(Controls, inspect.isfunction)
        if not name.startswith("_") and name not in ("order", "emit")
    }
    reached = {action.control.__name__ for action in ACTIONS.values()}
    for_tests = {"emit_glued", "send_frames", "send_hello", "send_op", "send_raw", "ping"}
    told_otherwise = {"resume_host_down", "bare_acks", "send_acks"}
    assert controls - reached == for_tests | told_otherwise
