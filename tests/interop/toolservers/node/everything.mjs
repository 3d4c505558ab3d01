// `@modelcontextprotocol/server-everything`: the MCP project's own reference server.
//
//     node everything.mjs                         over standard input and output
//     PORT=n node everything.mjs streamableHttp   at http://127.0.0.1:n/mcp
//
// Must never do more than start it: its command line is what an installer would use.
import './node_modules/@modelcontextprotocol/server-everything/dist/index.js';
