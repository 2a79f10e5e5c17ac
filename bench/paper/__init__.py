"""The MArk paper's evaluation again, in the simulator: each table and figure with ours beside the published one."""
