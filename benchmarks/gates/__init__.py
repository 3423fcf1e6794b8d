"""How judges of a canary decide: false rollbacks, detections and exposed requests on the same simulated traffic."""
