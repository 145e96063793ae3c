using System.Collections.Immutable;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Trainers;
using Microsoft.ML.Trainers.FastTree;
using Microsoft.ML.Transforms;
using Platform.Registry.Onnx;

namespace Platform.Registry.Training;

/// <summary>How the target is brought to a scale where single precision is plenty: mean 0, deviation 1, after a logarithm when it is skewed.</summary>
internal sealed record TargetScale(bool Log, double Mean, double Deviation)
{
    public static TargetScale Of(double[] targets, bool log)
    {
        double[] values = log ? [.. targets.Select(v => Math.Log(v))] : targets;
        var mean = values.Average();
        return new TargetScale(log, mean, Math.Sqrt(values.Average(v => (v - mean) * (v - mean))));
    }

    public float Forward(double target) => (float)(((Log ? Math.Log(target) : target) - Mean) / Deviation);

    public float Back(float score)
    {
        var value = (score * Deviation) + Mean;
        return (float)(Log ? Math.Exp(value) : value);
    }
}

/// <summary>A way to learn the target from the features, and how what it learnt is written into a graph.</summary>
internal abstract record Candidate(string Name, bool Log)
{
    public abstract FittedCandidate Fit(MLContext ml, IDataView rows, int seed);

    /// <summary>What is tried: the linear baseline and boosted trees of two sizes, on the target itself and, when it is positive and skewed, on its logarithm.</summary>
    public static IEnumerable<Candidate> For(bool log, int rows) =>
    [
        new LinearCandidate(log),
        new TreesCandidate("small", log, Trees: 100, Leaves: 12, LearningRate: 0.12, LeastRows: LeastRows(rows)),
        new TreesCandidate("large", log, Trees: 300, Leaves: 28, LearningRate: 0.08, LeastRows: LeastRows(rows)),
    ];

    private static int LeastRows(int rows) => Math.Clamp(rows / 100, 2, 10);
}

/// <summary>A candidate that has learnt.</summary>
internal abstract record FittedCandidate(ITransformer Transformer)
{
    /// <summary>Writes the score (FP64, shape [-1, 1]) from the feature vector (FP64) and returns its name.</summary>
    public abstract string Write(GraphWriter graph, string features);

    public float[] Scores(IDataView rows) => [.. Transformer.Transform(rows).GetColumn<float>("Score")];
}

/// <summary>Linear regression with L2 regularisation by stochastic dual coordinate ascent: the baseline.</summary>
internal sealed record LinearCandidate(bool Log) : Candidate($"linear regression{(Log ? " on the logarithm" : "")}", Log)
{
    private const string Scaled = "Scaled";

    /// <summary>With little regularisation the ascent can run away on small tables, so it is made stronger until the fit is no worse than the mean,
    /// which is where ever stronger regularisation ends.</summary>
    public override FittedCandidate Fit(MLContext ml, IDataView rows, int seed)
    {
        float[] labels = [.. rows.GetColumn<float>(TableView.Label)];
        for (var l2 = 2f / labels.Length; ; l2 *= 10)
        {
            if (TryFit(ml, rows, l2) is { } fitted && fitted.Scores(rows).Zip(labels, (s, l) => (s - l) * (s - l)).Average() <= 1.01) return fitted;
        }
    }

    private static Fitted? TryFit(MLContext ml, IDataView rows, float l2)
    {
        var trainer = ml.Regression.Trainers.Sdca(new SdcaRegressionTrainer.Options
        {
            LabelColumnName = TableView.Label,
            FeatureColumnName = Scaled,
            L2Regularization = l2,
            MaximumNumberOfIterations = 30,
            NumberOfThreads = 1,
        });
        try
        {
            return new Fitted(ml.Transforms.NormalizeMeanVariance(Scaled, Preprocessing.Features, fixZero: false).AppendCacheCheckpoint(ml).Append(trainer).Fit(rows));
        }
        catch (ArgumentOutOfRangeException)
        {
            // ML.NET's way to say that the weights are no longer finite.
            return null;
        }
    }

    private sealed record Fitted(TransformerChain<RegressionPredictionTransformer<LinearRegressionModelParameters>> Chain) : FittedCandidate(Chain)
    {
        /// <summary>Scaling and weights are both affine, so they are one matrix: w·(x − offset)·scale + b.</summary>
        public override string Write(GraphWriter graph, string features)
        {
            var scaler = (NormalizingTransformer.AffineNormalizerModelParameters<ImmutableArray<float>>)
                Chain.OfType<NormalizingTransformer>().Single().GetNormalizerModelParameters(0);
            var linear = Chain.LastTransformer.Model;
            double[] weights = [.. linear.Weights.Select((w, i) => w * (double)scaler.Scale[i])];
            var bias = linear.Bias - weights.Select((w, i) => scaler.Offset.IsEmpty ? 0 : w * scaler.Offset[i]).Sum();
            var product = graph.Add("MatMul", [features, graph.Constant("weights", weights, weights.Length, 1)]);
            return graph.Add("Add", [product, graph.Constant("bias", [bias], 1)]);
        }
    }
}

/// <summary>Gradient-boosted regression trees (FastTree, an implementation of MART: Friedman, "Greedy function approximation", 2001).</summary>
internal sealed record TreesCandidate(string Size, bool Log, int Trees, int Leaves, double LearningRate, int LeastRows)
    : Candidate($"{Trees} boosted trees of {Leaves} leaves{(Log ? " on the logarithm" : "")}", Log)
{
    public override FittedCandidate Fit(MLContext ml, IDataView rows, int seed) =>
        new Fitted(ml.Regression.Trainers.FastTree(new FastTreeRegressionTrainer.Options
        {
            LabelColumnName = TableView.Label,
            FeatureColumnName = Preprocessing.Features,
            NumberOfTrees = Trees,
            NumberOfLeaves = Leaves,
            LearningRate = LearningRate,
            MinimumExampleCountPerLeaf = LeastRows,
            Seed = seed,
            FeatureSelectionSeed = seed,
        }).Fit(rows));

    private sealed record Fitted(RegressionPredictionTransformer<FastTreeRegressionModelParameters> Model) : FittedCandidate(Model)
    {
        /// <summary>In double precision throughout, because ML.NET too adds its leaves in double: the two then agree to the last bit of the sum.</summary>
        public override string Write(GraphWriter graph, string features)
        {
            var ensemble = Model.Model.TrainedTreeEnsemble;
            List<long> tree = [], node = [], feature = [], yes = [], no = [], leafTree = [], leafNode = [];
            List<double> threshold = [], leaf = [];
            List<string> mode = [];
            for (int t = 0; t < ensemble.Trees.Count; t++)
            {
                var source = ensemble.Trees[t];

                // Inner nodes keep their numbers; a leaf, which ML.NET writes as ~leaf, follows them. A tree that never split is one leaf.
                long Id(int child) => child >= 0 ? child : source.NumberOfNodes + ~child;
                for (int n = 0; n < source.NumberOfNodes; n++)
                {
                    Node(t, n, "BRANCH_LEQ", source.NumericalSplitFeatureIndexes[n], source.NumericalSplitThresholds[n],
                        Id(source.LeftChild[n]), Id(source.RightChild[n]));
                }

                for (int l = 0; l < source.NumberOfLeaves; l++)
                {
                    Node(t, source.NumberOfNodes + l, "LEAF", 0, 0, 0, 0);
                    leafTree.Add(t);
                    leafNode.Add(source.NumberOfNodes + l);
                    leaf.Add(source.LeafValues[l] * ensemble.TreeWeights[t]);
                }
            }

            var score = graph.Add("TreeEnsembleRegressor", [features],
            [
                GraphWriter.Int("n_targets", 1), GraphWriter.Word("aggregate_function", "SUM"), GraphWriter.Word("post_transform", "NONE"),
                GraphWriter.Ints("nodes_treeids", tree), GraphWriter.Ints("nodes_nodeids", node), GraphWriter.Ints("nodes_featureids", feature),
                GraphWriter.Words("nodes_modes", mode), GraphWriter.Reals("nodes_values_as_tensor", [.. threshold]),
                GraphWriter.Ints("nodes_truenodeids", yes), GraphWriter.Ints("nodes_falsenodeids", no),
                GraphWriter.Ints("target_treeids", leafTree), GraphWriter.Ints("target_nodeids", leafNode), GraphWriter.Ints("target_ids", leafTree.Select(_ => 0L)),
                GraphWriter.Reals("target_weights_as_tensor", [.. leaf]), GraphWriter.Reals("base_values_as_tensor", [ensemble.Bias]),
            ], GraphWriter.Ml);
            return graph.Cast(score, GraphWriter.Double);

            void Node(long inTree, long id, string kind, long splitsOn, double at, long ifYes, long ifNo)
            {
                tree.Add(inTree);
                node.Add(id);
                mode.Add(kind);
                feature.Add(splitsOn);
                threshold.Add(at);
                yes.Add(ifYes);
                no.Add(ifNo);
            }
        }
    }
}
