"""Translation and foresight, pure: no network, no key, no clock."""
