export declare function givenModel(): string;
export declare function smolLM2(): string;
export declare function modelFolder(): string;
export declare function dataSets(): string;
export declare function goldensFile(): string;
