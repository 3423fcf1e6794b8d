"""Evals that stop as soon as their verdict is known: the order of calls, bets, planned looks, and what they decide."""
