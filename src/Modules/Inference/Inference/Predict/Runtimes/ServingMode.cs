namespace Platform.Inference.Predict.Runtimes;

/// <summary>What an endpoint is tuned for. Answers are the same to the bit in every mode.</summary>
internal enum ServingMode
{
    /// <summary>Requests that wait for a core are run together where the model was measured to gain from it.</summary>
    Auto,
    /// <summary>They are run together wherever that is proven safe, even when the gain is small.</summary>
    Throughput,
    /// <summary>Every request is run by itself.</summary>
    Latency,
}
