using Platform.Features.Contracts;

namespace Features.Tests.Datasets.Csv;

public class SchemaInferenceTests
{
    [Theory]
    [InlineData("n", "1|-2|30", "Integer")]
    [InlineData("n", "1|2.0|3e2", "Integer")]
    [InlineData("n", "1|2.5|.5|-1e-3", "Number")]
    [InlineData("n", "999999999999999|1", "Integer")]
    [InlineData("n", "1000000000000000|1000000000000001", "Text")]
    [InlineData("n", "00123|00124", "Text")]
    [InlineData("n", "0|1", "Integer")]
    [InlineData("n", "true|FALSE|True", "Boolean")]
    [InlineData("n", "2014-10-13|2014-12-31", "Date")]
    [InlineData("n", "2014-10-13T12:30:00Z|2014-10-13 12:30|2014-10-13T12:30:00.25+02:00", "Date")]
    [InlineData("n", "20141013T000000|20141014T101500", "Date")]
    [InlineData("n", "20141013|20141014", "Integer")]
    [InlineData("sale_date", "20141013|20141014", "Date")]
    [InlineData("sold_on", "20141013|20141014", "Date")]
    [InlineData("n", "2014-13-01|2014-02-30", "Text")]
    [InlineData("n", "1,5|2,5", "Text")]
    [InlineData("n", "inf|-Infinity", "Text")]
    [InlineData("n", "red|green", "Text")]
    [InlineData("n", "NA|n/a|null|NaN|", "Text")]
    [InlineData("n", "1|NA|n/a|null|NaN|", "Integer")]
    public void A_column_has_the_type_its_values_have(string column, string values, string type)
    {
        foreach (var quote in new[] { "", "\"" })
        {
            var rows = values.Split('|').Select(value => quote + value + quote);
            var read = ReadCsv.Of($"{column};other\n{string.Join("", rows.Select(row => $"{row};x\n"))}");

            read.Content.Quarantined.ShouldBe(0);
            read.Types.First().ShouldBe(type);
        }
    }

    [Fact]
    public void Values_are_written_in_one_form_whatever_form_they_came_in()
    {
        var read = ReadCsv.Of(
            "whole;number;flag;day;at;text;sold_date\n" +
            "+5.0;1e3;TRUE;20141013T000000;2014-10-13T12:30:00+02:00; \"say \"\"hi\"\", then go\" ;20141013\n" +
            "-0;0.10;False;2014-10-13T00:00:00Z;2014-10-13 10:30;Köln;2014-10-13\n" +
            "NA;1e20;n/a;null;;NaN;\n");

        read.Canonical.ShouldBe(
            "whole,number,flag,day,at,text,sold_date\n" +
            "5,1000,true,2014-10-13,2014-10-13T10:30:00Z,\"say \"\"hi\"\", then go\",2014-10-13\n" +
            "0,0.1,false,2014-10-13,2014-10-13T10:30:00Z,Köln,2014-10-13\n" +
            ",1E+20,,,,,\n");
        read.Types.ShouldBe(["Integer", "Number", "Boolean", "Date", "Date", "Text", "Date"]);
    }

    [Fact]
    public void One_odd_value_in_a_thousand_is_quarantined_and_the_column_keeps_its_type()
    {
        var read = ReadCsv.Of("price,size\n" + ReadCsv.Many(999, "1.5,2") + "about 5,2\n");

        read.Types.ShouldBe(["Number", "Integer"]);
        var fault = read.Content.FirstFaults.ShouldHaveSingleItem();
        (fault.Line, fault.Column, fault.Reason).ShouldBe((1001, "price", "'about 5' is not a number"));
    }

    [Fact]
    public void One_odd_value_in_a_hundred_makes_the_column_text()
    {
        var read = ReadCsv.Of("price,size\n" + ReadCsv.Many(99, "1.5,2") + "about 5,2\n");

        read.Types.ShouldBe(["Text", "Integer"]);
        read.Content.Quarantined.ShouldBe(0);
    }

    [Fact]
    public void A_surprise_in_the_last_row_of_many_counts_as_well() =>
        ReadCsv.Of("size,price\n" + ReadCsv.Many(5_000, "1,2") + "1.5,3\n").Types.First().ShouldBe("Number");

    [Fact]
    public void A_fraction_among_integers_makes_numbers_of_them_and_is_no_bad_value()
    {
        var read = ReadCsv.Of("floors,price\n" + ReadCsv.Many(1_000, "1,2") + "1.5,3\n");

        read.Content.Quarantined.ShouldBe(0);
        read.Content.Columns[0].Type.ShouldBe(DatasetColumnType.Number);
    }

    [Theory]
    [InlineData("inf", "'inf' is infinite or too large for a number")]
    [InlineData("1e999", "'1e999' is infinite or too large for a number")]
    [InlineData("007", "'007' is not a number but a code: it has a leading zero or more than 15 digits")]
    public void A_value_that_would_lose_its_meaning_as_a_number_is_quarantined(string value, string reason)
    {
        var read = ReadCsv.Of("id,n\n" + ReadCsv.Many(400, "a,1") + $"b,{value}\n");

        read.Content.FirstFaults.ShouldHaveSingleItem().Reason.ShouldBe(reason);
    }

    [Fact]
    public void Infinite_values_do_not_turn_numbers_into_text()
    {
        var read = ReadCsv.Of("id,n\n" + ReadCsv.Many(6, "a,1") + ReadCsv.Many(4, "a,Infinity"));

        (read.Content.Rows, read.Content.Quarantined).ShouldBe((6, 4));
        read.Types.ShouldBe(["Text", "Integer"]);
    }

    [Fact]
    public void Statistics_describe_the_accepted_rows()
    {
        var read = ReadCsv.Of("n,t,d,b\n1,red,2024-02-01,true\n4,blue,2023-05-06,true\n,red,,false\n");

        var (n, t, d, b) = (read.Content.Columns[0], read.Content.Columns[1], read.Content.Columns[2], read.Content.Columns[3]);
        (n.Missing, n.Distinct, n.Min, n.Max, n.Mean).ShouldBe((1, 2, "1", "4", 2.5));
        (d.Min, d.Max, d.Mean).ShouldBe(("2023-05-06", "2024-02-01", null));
        t.Top.Select(top => $"{top.Value} {top.Rows}").ShouldBe(["red 2", "blue 1"]);
        b.Top.Select(top => $"{top.Value} {top.Rows}").ShouldBe(["true 2", "false 1"]);
    }

    [Fact]
    public void Distinct_values_are_counted_up_to_one_more_than_ten_thousand()
    {
        var read = ReadCsv.Of("id,few\n" + string.Concat(Enumerable.Range(0, 12_000).Select(i => $"x{i},{i % 7}\n")));

        read.Content.Columns.Select(column => column.Distinct).ShouldBe([10_001, 7]);
        read.Content.Columns[0].Top.ShouldBeEmpty();
    }

    [Fact]
    public void A_wide_file_of_long_texts_gives_up_counting_where_it_costs_most()
    {
        var row = (int i) => string.Join(',', Enumerable.Range(0, 20).Select(c => $"text {c} number {i}"));
        var read = ReadCsv.Of(
            string.Join(',', Enumerable.Range(0, 20).Select(c => $"c{c}")) + ",few\n" + string.Concat(Enumerable.Range(0, 500).Select(i => $"{row(i)},{i % 3}\n")),
            ReadCsv.Limits with { MaxCountedChars = 100_000 });

        read.Content.Columns[^1].Distinct.ShouldBe(3);
        read.Content.Columns.Count(column => column.Distinct == 10_001).ShouldBeInRange(1, 20);
    }

    [Fact]
    public void The_mean_of_huge_numbers_of_opposite_sign_is_finite() =>
        ReadCsv.Of("n,x\n1.7e308,a\n-1.7e308,b\n1.7e308,c\n").Content.Columns[0].Mean.ShouldNotBeNull().ShouldBeInRange(5e307, 6e307);

    [Fact]
    public void Column_types_are_those_of_the_rows_that_are_kept()
    {
        // The only text of column t stands in the row that is quarantined for its infinite n.
        var read = ReadCsv.Of("n,t\n1,1\n2,2\n3,3\ninf,words\n");

        read.Types.ShouldBe(["Integer", "Integer"]);
        ReadCsv.Of(read.CanonicalBytes).Content.ContentSha256.ShouldBe(read.Content.ContentSha256);
    }
}
