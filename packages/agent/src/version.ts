/** Version of the agent, as reports name it; a test holds it equal to package.json. */
export const agentVersion = '0.1.0';
