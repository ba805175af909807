/** What the page computes from its data. Nothing here knows of the document. */
export * from "./columns";
export * from "./dataset";
export * from "./exits";
export * from "./flame";
export * from "./format";
export * from "./groups";
export * from "./header";
export * from "./histogram";
export * from "./modules";
export * from "./ruler";
export * from "./search";
export * from "./selection";
export * from "./tables";
export * from "./templates";
export * from "./timeline";
export * from "./tops";
