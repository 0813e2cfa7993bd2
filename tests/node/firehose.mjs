/*
 * The AWS SDK for JavaScript against a Firehose endpoint: each operation once, as a program would
 * use it. Prints what they answered as JSON.
 *
 * Usage: firehose.mjs ENDPOINT ACCESS_KEY SECRET_KEY NAME
 */
import * as firehose from '@aws-sdk/client-firehose';

const [endpoint, accessKeyId, secretAccessKey, name] = process.argv.slice(2);
const client = new firehose.FirehoseClient({
    endpoint, region: 'eu-central-1', maxAttempts: 1, credentials: { accessKeyId, secretAccessKey },
});
const answers = {};

async function ask(operation, input) {
    const answer = await client.send(new firehose[operation + 'Command'](
        { DeliveryStreamName: name, ...input }));
    delete answer.$metadata;
    answers[operation] = answer;
    return answer;
}

const destination = { RoleARN: 'arn:aws:iam::123456789012:role/hydrant',
                      BucketARN: 'arn:aws:s3:::no-such-sink', Prefix: 'sdk/' };

try {
    await ask('CreateDeliveryStream', { ExtendedS3DestinationConfiguration: destination });
    await ask('ListDeliveryStreams', { DeliveryStreamName: undefined });
    await ask('PutRecord', { Record: { Data: Buffer.from('{"n":0}\n') } });
    await ask('PutRecordBatch', { Records: [1, 2, 3].map(
        n => ({ Data: Buffer.from(`{"n":${n},"text":"ünïcode"}\n`) })) });
    const { DeliveryStreamDescription: is } = await ask('DescribeDeliveryStream', {});
    await ask('UpdateDestination', {
        CurrentDeliveryStreamVersionId: is.VersionId,
        DestinationId: is.Destinations[0].DestinationId,
        ExtendedS3DestinationUpdate: { Prefix: 'sdk2/' },
    });
    await ask('TagDeliveryStream', { Tags: [{ Key: 'team', Value: 'a' }, { Key: 'b' }] });
    await ask('UntagDeliveryStream', { TagKeys: ['b'] });
    await ask('ListTagsForDeliveryStream', {});
    await ask('StartDeliveryStreamEncryption', {});
    await ask('StopDeliveryStreamEncryption', {});
    await ask('DeleteDeliveryStream', {});
} catch (error) {
    answers.error = error.name + ': ' + error.message;
}
console.log(JSON.stringify(answers));
