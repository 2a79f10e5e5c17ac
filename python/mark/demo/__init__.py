"""`mark demo`: a real model, real images and a real fleet of worker processes, for about a minute."""
