from gwsimulator.ledger import Ledger
from gwsimulator.summary import summary
from support.sim_rig import Rig


def test_nothing_happened() -> None:
    lines = summary(Ledger(), 0)
    assert [line.split() for line in lines] == [
        ["connections", "0"],
        ["identifies", "0"],
        ["resumes", "0"],
        ["REST", "calls", "0"],
        ["dispatched", "0"],
        ["lost", "0"],
        ["violations", "0"],
    ]


def test_outcomes_violations_and_losses_are_counted() -> None:
    rig = Rig()
    link, session = rig.go_live()
    rig.identify(rig.dial())
    rig.lose(link)
    for _ in range(3):
        rig.perform(rig.gateway.delivery.tell(0, rig.world.guild_create(rig.world.guild_ids[0]), rig.now))
    rig.run_for(200.0)
    rig.resume(rig.dial("resume"), session, 3)
    said = "\n".join(summary(rig.ledger, rig.gateway.sessions.lost))
    assert "identifies   2: 1 ready, 1 op9" in said
    assert "resumes      1: 1 op9" in said
    assert "lost         3 events of sessions that nobody resumed" in said
    assert "1 identify_window" in said


def test_what_was_replayed_is_not_lost_when_its_session_ends_later() -> None:
    rig = Rig()
    link, session = rig.go_live()
    rig.lose(link)
    rig.perform(rig.gateway.delivery.tell(0, rig.world.guild_create(rig.world.guild_ids[0]), rig.now))
    again = rig.dial("resume")
    rig.resume(again, session, 3)
    rig.lose(again, 1000)
    assert rig.gateway.sessions.all() == []
    assert rig.gateway.sessions.lost == 0
