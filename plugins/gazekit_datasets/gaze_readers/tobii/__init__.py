"""Readers of the exports of Tobii's programs."""
