"""What `fab --help TASK:ENV` says of options that many tasks have."""

JSON = "machine-readable output"
LIMIT = "only these hosts, as web2 or web2,web3"
WAIT = "wait for another deployer to end: so many seconds, 600 without a number"
