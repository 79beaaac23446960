"""What this provider serves inside Airflow's API server."""

#: Where the receiver of webhooks is mounted, and the place of Antavo's in it.
WEBHOOKS = "/ometria/webhooks"
ANTAVO = "/antavo"

#: The Airflow connection that says who may send; without it nothing is served.
CONNECTION = "antavo_webhook"
