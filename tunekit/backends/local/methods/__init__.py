"""What methods need of the worker beside a config of PEFT, one file each."""
