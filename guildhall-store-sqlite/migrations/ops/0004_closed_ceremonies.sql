-- The links that closed a ceremony, in the order in which they are listed.

CREATE INDEX custody_transitions_closing ON custody_transitions (occurred_at, position)
    WHERE from_state = 'ceremony_open';
