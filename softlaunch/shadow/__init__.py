"""What copies of live requests were answered: how like the users' answers, and which of the two judges prefer."""
