"""What a cluster has in AWS besides what its router makes: each thing is there or not, is made, and is deleted."""
