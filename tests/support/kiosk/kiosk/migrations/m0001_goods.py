"""Goods have names."""

revision = "0001"
down_revision = None
kind = "expand"
