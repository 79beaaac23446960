"""`make scale-test`: a million members, faults, many accounts, on the deployment of docker-compose.yaml."""
