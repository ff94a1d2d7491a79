SELECT {verification_results.*}
FROM verification_results AS verdict
