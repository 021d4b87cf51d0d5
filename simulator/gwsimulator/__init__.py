"""A stand-in Discord on loopback: REST, gateway, rules with teeth, and a ledger of what happened."""

from gwsimulator.ledger import Ledger
from gwsimulator.server import Simulator
from gwsimulator.settings import Settings
from gwsimulator.thread import ThreadedSimulator, in_thread

__all__ = ["Ledger", "Settings", "Simulator", "ThreadedSimulator", "in_thread"]
