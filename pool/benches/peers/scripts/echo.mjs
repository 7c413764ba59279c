// The function that piscina runs.
export default (request) => request;
